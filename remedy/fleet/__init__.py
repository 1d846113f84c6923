"""Many hosts at once, seen from the controller: their facts, plans and reports."""
