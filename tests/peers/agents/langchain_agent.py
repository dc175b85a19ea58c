"""An agent of langchain with a server's tools by langchain-mcp-adapters, as their documentation shows one.

Run by the interpreter that has them; speaks and plays as `pydantic_ai_agent.py` does.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool
from langchain_mcp_adapters.client import MultiServerMCPClient


class ModelThatCalls(BaseChatModel):
    tool: str
    arguments: dict[str, Any]

    @property
    def _llm_type(self) -> str:
        return "model-that-calls"

    def bind_tools(self, tools: Sequence[BaseTool], **_options: Any) -> BaseChatModel:
        assert self.tool in {tool.name for tool in tools}
        return self

    def _generate(self, messages: list[BaseMessage], *_more: Any, **_options: Any) -> ChatResult:
        heard = messages[-1]
        if isinstance(heard, HumanMessage):
            call = {"name": self.tool, "args": self.arguments, "id": f"call-{len(messages)}"}
            said = AIMessage("", tool_calls=[call])
        else:
            said = AIMessage(heard.text)
        return ChatResult(generations=[ChatGeneration(message=said)])


async def answer_prompts(url: str, token: str, tool: str, arguments: dict[str, Any]) -> None:
    server = {"transport": "http", "url": url, "headers": {"Authorization": f"Bearer {token}"}}
    client = MultiServerMCPClient({"haldir": server})
    agent = create_agent(ModelThatCalls(tool=tool, arguments=arguments), await client.get_tools())
    messages: list[BaseMessage] = []
    while line := await asyncio.to_thread(sys.stdin.readline):
        result = await agent.ainvoke({"messages": [*messages, HumanMessage(json.loads(line))]})
        messages = result["messages"]
        print(json.dumps(messages[-1].text), flush=True)


if __name__ == "__main__":
    asyncio.run(answer_prompts(*json.loads(sys.stdin.readline())))
