"""The method against its own parts and against an elevation map, by the published protocol."""
