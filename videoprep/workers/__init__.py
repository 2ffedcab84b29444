"""Processes that open untrusted files, with limits on their time and memory."""
