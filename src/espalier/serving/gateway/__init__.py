"""An OpenAI-compatible HTTP gateway that runs the scheduler in front of real engines."""
