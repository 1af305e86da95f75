"""What is learned: the network, the noisy measurements that it starts from, and both together."""
