"""E-mail as values: what a reminder says, and the message that says it.

Pure: no clock, no connection. `smtp` hands messages over, and `reminding` decides when.
"""
