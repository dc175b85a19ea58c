"""Money: budgets, reservations and payments, exact."""
