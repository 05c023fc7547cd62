"""How records travel on Kafka."""
