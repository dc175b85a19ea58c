"""An agent of pydantic-ai with a server's tools, as its documentation shows one; run by the interpreter that has it.

Standard input is `[url, token, tool, arguments]`, then prompts, one JSON string a line; each is answered with what the
agent says. The model plays what a model does: asked by a person it calls the tool, answered by the tool it says that.
"""

import asyncio
import json
import sys
from typing import Any

from pydantic_ai import Agent
from pydantic_ai.mcp import MCPToolset
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, FunctionModel


def model_that_calls(tool: str, arguments: dict[str, Any]) -> FunctionModel:
    def respond(messages: list[ModelMessage], _info: AgentInfo) -> ModelResponse:
        heard = messages[-1].parts[-1]
        match heard:
            case UserPromptPart():
                return ModelResponse(parts=[ToolCallPart(tool, arguments)])
            case ToolReturnPart():
                return ModelResponse(parts=[TextPart(heard.model_response_str())])
            case _:  # A tool that failed.
                return ModelResponse(parts=[TextPart(heard.model_response())])

    return FunctionModel(respond)


async def answer_prompts(url: str, token: str, tool: str, arguments: dict[str, Any]) -> None:
    toolset = MCPToolset(url, headers={"Authorization": f"Bearer {token}"})
    agent = Agent(model_that_calls(tool, arguments), toolsets=[toolset])
    history: list[ModelMessage] = []
    async with agent:
        while line := await asyncio.to_thread(sys.stdin.readline):
            result = await agent.run(json.loads(line), message_history=history)
            history = result.all_messages()
            print(json.dumps(result.output), flush=True)


if __name__ == "__main__":
    asyncio.run(answer_prompts(*json.loads(sys.stdin.readline())))
