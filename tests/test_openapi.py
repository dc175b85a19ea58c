"""The description of the API is valid, complete and true."""

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from haldir.faces.rest.openapi import openapi_document
from haldir.operations.everything import OPERATIONS


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(json.dumps(openapi_document(OPERATIONS)))
    return decoded


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    validate(document)


def test_every_operation_of_the_catalogue_is_in_it_once(document: dict[str, Any]) -> None:
    described = {
        verb["operationId"]: (method.upper(), path)
        for path, verbs in document["paths"].items()
        for method, verb in verbs.items()
    }
    assert described == {operation.name: (operation.method, operation.path) for operation in OPERATIONS}
    assert len(OPERATIONS) == len({(operation.method, operation.path) for operation in OPERATIONS})


def test_inputs_stand_where_they_are_read(document: dict[str, Any]) -> None:
    for operation in OPERATIONS:
        verb = document["paths"][operation.path][operation.method.lower()]
        in_path = set(re.findall(r"\{(\w+)\}", operation.path))
        told = {(each["in"], each["name"]) for each in verb["parameters"]}
        assert {("path", name) for name in in_path} <= told, operation.name
        assert in_path <= set(operation.request.__struct_fields__), operation.name
        if operation.method in {"GET", "DELETE"}:
            assert told == {
                ("path" if name in in_path else "query", name) for name in operation.request.__struct_encode_fields__
            }
            assert "requestBody" not in verb


def test_every_refusal_of_an_operation_is_described_under_its_status(document: dict[str, Any]) -> None:
    verb = document["paths"]["/v1/payments/authorize"]["post"]
    assert "`budget_exceeded`" in verb["responses"]["403"]["description"]
    assert "`session_revoked`" in verb["responses"]["401"]["description"]
    assert "`insufficient_scope`" in verb["responses"]["403"]["description"]
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    assert verb["responses"]["403"]["content"] == verb["responses"]["default"]["content"] == error


def test_money_is_described_as_a_number_and_names_in_the_path_are_not_asked_for_in_the_body(
    document: dict[str, Any],
) -> None:
    body = document["components"]["schemas"]["AuthorizePaymentRequest"]
    assert body["properties"]["amount"]["type"] == "number"
    assert body["required"] == ["session_id", "amount"]
    check = document["paths"]["/v1/sessions/{session_id}/check"]["post"]["requestBody"]
    assert check == {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object", "properties": {"scope": {"type": "string"}}, "required": ["scope"]}
            }
        },
    }


def test_who_may_ask_is_described(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"bearer", "api_key"}
    assert document["security"] == [{"bearer": []}, {"api_key": []}]
    assert document["paths"]["/v1/keys"]["post"]["security"][0] == {}
    assert "`audit:read`" in document["paths"]["/v1/audit"]["get"]["description"]
