"""What tests, benchmarks and tools share."""
