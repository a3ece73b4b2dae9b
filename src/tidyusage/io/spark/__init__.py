"""Reading usage records with Spark."""
