"""Hypotheses → words → segments → response formats."""
