"""torch.compile: the whole GPT is one graph, with the values and gradients of eager calls."""

import torch

from unrolled.config import ModelConfig
from unrolled.models.gpt import GPTModel
from unrolled.models.model import Ids


def test_a_gpt_is_one_graph_with_the_values_and_gradients_of_eager_calls() -> None:
    torch.manual_seed(0)
    config = ModelConfig(name="gpt", num_layers=2, hidden_size=16, num_heads=2, embedding_size=16)
    model = GPTModel(Ids(20), 20, config).double().eval()
    ids = torch.randint(5, 20, (2, 6))
    expected, _ = model(ids)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    logits, _ = compiled(ids)
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-12)  # float64: only the order of sums differs
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    found = torch.autograd.grad(logits.square().sum(), weights)
    wanted = torch.autograd.grad(expected.square().sum(), weights)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
