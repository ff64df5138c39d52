"""Vehicles that plan from messages alone, what can go wrong with them, and a simulator of many."""
