#!/bin/sh
# Talk to an agent with nothing but curl: `sh chat.sh "Why do bees dance?"`.
# WAGGLE_URL, WAGGLE_KEY and AGENT say where, as whom and to whom.
set -eu

url=${WAGGLE_URL:-http://localhost:8000}
agent=${AGENT:-assistant}
session=chat-$$-$(date +%s)

ask() {
  curl -sS --fail-with-body ${WAGGLE_KEY:+-H "Authorization: Bearer $WAGGLE_KEY"} "$@"
}

echo "# As it comes, each event with an id to come back to by Last-Event-ID"
ask -N -G "$url/agents/$agent/stream" --data-urlencode "task=${1:-Hello!}" -d session_id="$session"

echo "# The second turn of the same conversation, whole"
ask "$url/agents/$agent/run" --json '{"task": "Say it in five words.", "session_id": "'"$session"'"}'
echo

echo "# What was said in it"
ask "$url/sessions/$session/messages"
echo

echo "# Not waited for: the run's id comes at once"
ask "$url/agents/$agent/runs" --json '{"task": "And in one."}' -D - -o /dev/null | grep -i '^location'
