"""The scheduler: what is known of engines, policies that place prefill and decode, and no clock but the caller's."""
