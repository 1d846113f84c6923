"""remedy's own firewall rules: what is wanted (ruleset), who writes it (writer), what is there (normal_form).

Start with `ruleset.Ruleset`, `writer.select_writer`, and while the engine restarts `forward_guard` and `guard_loop`.
"""
