"""People in the loop: what waits for a person's word, and what that word lets through, once."""
