"""The words everything else is made of: ids, money, time, JSON, refusals. Pure; imports nothing of haldir."""
