"""Recorded hosts and the truth about them: who really reached what on a real engine, to hold the model against."""
