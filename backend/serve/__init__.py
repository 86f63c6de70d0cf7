"""Broker, workers, store: jobs of many clients, kept safe on one machine."""
