"""Sound that is still being recorded → text while it is spoken. Pure: no sockets, no clock, no model."""
