"""The HTTP side: what is routed where, and what people and programs get to see."""
