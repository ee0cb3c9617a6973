"""unrolled: from the feedforward network to the Transformer, as interchangeable parts."""
