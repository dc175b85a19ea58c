"""REST: the catalogue of operations as routes, and as OpenAPI."""
