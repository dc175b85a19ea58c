"""How a request to Haldir can end badly, as a caller tells it apart."""


class ClientError(Exception):
    """The request brought no answer to work with. `code` is Haldir's own word for why."""

    def __init__(
        self, message: str, *, code: str, status: int | None = None, hint: str = "", request_id: str = ""
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.status, self.hint, self.request_id = message, code, status, hint, request_id


class TurnedDown(ClientError):
    """Haldir understood and said no (4xx): asking again the same way will not help."""


class ServerFailed(ClientError):
    """Haldir could not answer (5xx), or what answered is not Haldir."""


class Unreachable(ClientError):
    """Nobody answered at that address, or not in time."""
