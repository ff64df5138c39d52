"""The embedded engine in a process of its own, which samples while the learner trains in this one."""
