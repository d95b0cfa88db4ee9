# GET /agents
curl -s localhost:8000/agents

# GET /agents/{name}
curl -s localhost:8000/agents/calculator

# POST /agents/{name}/run
curl -s localhost:8000/agents/greeter/run -H 'Content-Type: application/json' \
  -d '{"task": "Greet Ann.", "session_id": "hello"}'

# POST /agents/{name}/stream
curl -sN localhost:8000/agents/greeter/stream -H 'Content-Type: application/json' \
  -d '{"task": "Greet Ben."}'

# GET /agents/{name}/stream
curl -sN 'localhost:8000/agents/greeter/stream?task=Greet+Cleo.'

# POST /agents/{name}/runs
RUN=$(curl -s localhost:8000/agents/greeter/runs -H 'Content-Type: application/json' \
  -d '{"task": "Greet Dora."}' -o run.json -w '%header{x-run-id}')

# GET /runs/{run_id}
curl -s localhost:8000/runs/$RUN

# GET /runs/{run_id}/stream
curl -sN localhost:8000/runs/$RUN/stream

# POST /runs/{run_id}/input
WAITS=$(curl -s localhost:8000/agents/refunds/run -H 'Content-Type: application/json' \
  -d '{"task": "Order A-17 came broken: 40 euros.", "session_id": "broken"}' -o run.json -w '%header{x-run-id}')
curl -s localhost:8000/runs/$WAITS/input -H 'Content-Type: application/json' -d '{"input": {"decision": "approve"}}'

# POST /runs/{run_id}/cancel
curl -s -X POST localhost:8000/runs/$WAITS/cancel

# POST /runs/{run_id}/feedback
curl -s localhost:8000/runs/$RUN/feedback -H 'Content-Type: application/json' \
  -d '{"score": 1, "label": "helpful", "comment": "Thanks!"}'

# GET /runs/{run_id}/trace
curl -s localhost:8000/runs/$RUN/trace

# GET /sessions
curl -s 'localhost:8000/sessions?limit=10'

# GET /sessions/{session_id}
curl -s localhost:8000/sessions/hello

# DELETE /sessions/{session_id}
curl -s -X DELETE localhost:8000/sessions/broken

# GET /sessions/{session_id}/messages
curl -s localhost:8000/sessions/hello/messages

# GET /sessions/{session_id}/runs
curl -s localhost:8000/sessions/hello/runs

# GET /sessions/{session_id}/versions
curl -s localhost:8000/sessions/hello/versions

# POST /sessions/{session_id}/fork
curl -s localhost:8000/sessions/hello/fork -H 'Content-Type: application/json' -d '{"session_id": "hello-again"}'

# POST /sessions/{session_id}/rewind
curl -s localhost:8000/sessions/hello/rewind -H 'Content-Type: application/json' -d '{"version": 0}'

# GET /export
curl -s localhost:8000/export -o mine.jsonl

# GET /livez
curl -s localhost:8000/livez

# GET /readyz
curl -s localhost:8000/readyz

# GET /metrics
curl -s localhost:8000/metrics

# GET /runs/{run_id}/feedback
curl -s localhost:8000/runs/$RUN/feedback

# GET /v1/models
curl -s localhost:8000/v1/models

# GET /v1/models/{name}
curl -s localhost:8000/v1/models/greeter

# POST /v1/chat/completions
curl -s localhost:8000/v1/chat/completions -H 'Content-Type: application/json' \
  -d '{"model": "greeter", "messages": [{"role": "user", "content": "Greet Eva."}]}'

# POST /v1/responses
RESPONSE=$(curl -s localhost:8000/v1/responses -H 'Content-Type: application/json' \
  -d '{"model": "greeter", "input": "Greet Finn."}' -o response.json -w 'resp_%header{x-run-id}')

# GET /v1/responses/{response_id}
curl -s localhost:8000/v1/responses/$RESPONSE

# POST /v1/responses/{response_id}/cancel
curl -s -X POST localhost:8000/v1/responses/$RESPONSE/cancel

# POST /agents/{name}/ui
curl -sN localhost:8000/agents/greeter/ui -H 'Content-Type: application/json' \
  -d '{"id": "ui-1", "trigger": "submit-message", "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "Greet Gil."}]}]}'

# GET /agents/{name}/ui/{session_id}/stream
curl -sN localhost:8000/agents/greeter/ui/ui-1/stream

# POST /agents/{name}/ag-ui
curl -sN localhost:8000/agents/greeter/ag-ui -H 'Content-Type: application/json' \
  -d '{"threadId": "ag-1", "runId": "r1", "state": {}, "messages": [{"id": "m1", "role": "user", "content": "Greet Hal."}], "tools": [], "context": [], "forwardedProps": {}}'

# POST /mcp
curl -s localhost:8000/mcp -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \
  -d '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'

# GET /.well-known/agent-card.json
curl -s localhost:8000/.well-known/agent-card.json

# GET /a2a/{name}/.well-known/agent-card.json
curl -s localhost:8000/a2a/greeter/.well-known/agent-card.json

# POST /a2a/{name}
curl -s localhost:8000/a2a/greeter -H 'Content-Type: application/json' -H 'A2A-Version: 1.0' \
  -d '{"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "Greet Ida."}]}}}'
