"""The thin edge to the operating system: programs, files, namespaces. No decisions in here."""
