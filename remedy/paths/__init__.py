"""How connections to published ports travel: who reaches what, before and after a change."""
