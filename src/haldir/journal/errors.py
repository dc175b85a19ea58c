"""What the journal cannot do for one command although its store is well."""

from haldir.kernel.errors import HaldirError


class Unstorable(HaldirError):
    """One command cannot be decided or stored, others can. Nothing changed, and its op_id is unused."""

    code = "unstorable"
    status = 500
    hint = "Trying again will not help; the server's log has the cause."
