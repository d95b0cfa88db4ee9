"""One writes code, another runs it."""

from autogen_agentchat.agents import ApprovalRequest, ApprovalResponse, AssistantAgent, CodeExecutorAgent
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from autogen_core.code_executor import CodeBlock, CodeExecutor, CodeResult

from app.agents.spec import AgentContext


class Executor(CodeExecutor):
    """Fails where it is told to, and runs nothing."""

    async def execute_code_blocks(
        self,
        code_blocks: list[CodeBlock],
        cancellation_token: CancellationToken,  # noqa: ARG002 the base class has it
    ) -> CodeResult:
        (block,) = code_blocks
        return CodeResult(exit_code=int("fail" in block.code), output=f"ran {block.code.strip()}")

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def restart(self) -> None: ...


async def approved(request: ApprovalRequest) -> ApprovalResponse:
    return ApprovalResponse(approved=bool(request.code), reason="")


def build(context: AgentContext) -> RoundRobinGroupChat:
    writer = AssistantAgent("writer", context.model(), model_client_stream=True)
    runner = CodeExecutorAgent("runner", Executor(), approval_func=approved)
    return RoundRobinGroupChat([writer, runner], max_turns=3)
