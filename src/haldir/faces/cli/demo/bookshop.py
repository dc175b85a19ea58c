"""The sample MCP server of the demo: a bookshop over stdio, made with the official `mcp` package.

python -m haldir.faces.cli.demo.bookshop
"""

from mcp.server.mcpserver import MCPServer

BOOKS = {
    "The Fellowship of the Ring": 12.0,
    "The Two Towers": 12.0,
    "The Return of the King": 12.0,
}


def find_books(query: str) -> str:
    """Find books by a part of their title."""
    found = [f"{title} ({price:.2f} USD)" for title, price in BOOKS.items() if query.lower() in title.lower()]
    return "\n".join(found) or "No book has that in its title."


def order_book(title: str, amount: float) -> str:
    """Order a book; `amount` is its price in USD."""
    return f"Ordered {title} for {amount:.2f} USD."


def refund(title: str) -> str:
    """Pay back what a book cost."""
    return f"Refunded {title}."


def close_shop() -> str:
    """Close the shop for good."""
    return "The shop is closed."


def bookshop() -> MCPServer:
    server = MCPServer("bookshop")
    for tool in (find_books, order_book, refund, close_shop):
        server.add_tool(tool)
    return server


if __name__ == "__main__":
    bookshop().run()
