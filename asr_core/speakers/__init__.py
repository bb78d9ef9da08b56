"""Who spoke: a side in each channel, or voices in one."""
