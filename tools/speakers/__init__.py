"""How well speakers are told apart: made dialogues, and their diarization error rate."""
