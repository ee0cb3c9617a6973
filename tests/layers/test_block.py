"""A block is its formula, and torch's own Transformer layers, with their weights, say the same."""

import pytest
import torch
from torch import nn

from unrolled.errors import ConfigError
from unrolled.layers import Block, Blocks, CrossAttention, SelfAttention

B, T, S, D, N = 3, 5, 4, 8, 2


@torch.no_grad()
def take(ours: Block, theirs: nn.Module) -> None:
    """Give torch's layer the weights of ours."""
    theirs.self_attn.in_proj_weight.copy_(ours.mixer.project.weight)
    theirs.self_attn.in_proj_bias.copy_(ours.mixer.project.bias)
    pairs = [(theirs.self_attn.out_proj, ours.mixer.output), (theirs.norm1, ours.norms[0])]
    pairs += [
        (theirs.linear1, ours.feedforward[0]),
        (theirs.linear2, ours.feedforward[3]),
        (theirs.norm2, ours.norms[1]),
    ]
    if ours.cross is not None:
        for whole, part in (("in_proj_weight", "weight"), ("in_proj_bias", "bias")):
            mine = [getattr(ours.cross.query, part), getattr(ours.cross.project, part)]
            getattr(theirs.multihead_attn, whole).copy_(torch.cat(mine))
        pairs += [(theirs.multihead_attn.out_proj, ours.cross.output), (theirs.norm3, ours.norms[2])]
    for their_part, our_part in pairs:
        their_part.weight.copy_(our_part.weight)
        their_part.bias.copy_(our_part.bias)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("causal", [True, False])
def test_a_block_equals_torchs_encoder_layer(norm: str, causal: bool) -> None:
    torch.manual_seed(0)
    ours = Block(SelfAttention(D, N, causal=causal), 16, norm=norm, nonlinearity="gelu").double()
    theirs = nn.TransformerEncoderLayer(
        D, N, 16, 0.0, nn.GELU(), batch_first=True, norm_first=norm == "pre", dtype=torch.float64
    )
    take(ours, theirs)
    x, lengths = torch.randn(B, T, D, dtype=torch.float64), torch.tensor([5, 2, 4])
    padding = torch.arange(T) >= lengths[:, None]
    mask = ~torch.ones(T, T, dtype=torch.bool).tril() if causal else None
    expected = theirs(x, src_mask=mask, src_key_padding_mask=padding)
    y, _ = ours(x, None, lengths)
    torch.testing.assert_close(y, expected.masked_fill(padding.unsqueeze(2), 0))


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_block_with_a_source_equals_torchs_decoder_layer(norm: str) -> None:
    torch.manual_seed(0)
    ours = Block(SelfAttention(D, N, causal=True), 16, cross=CrossAttention(D, D, N), norm=norm).double()
    theirs = nn.TransformerDecoderLayer(D, N, 16, 0.0, batch_first=True, norm_first=norm == "pre", dtype=torch.float64)
    take(ours, theirs)
    x, outputs = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    lengths = torch.tensor([4, 1, 3])
    expected = theirs(
        x,
        outputs,
        tgt_mask=~torch.ones(T, T, dtype=torch.bool).tril(),
        memory_key_padding_mask=torch.arange(S) >= lengths[:, None],
    )
    y, _ = ours(x, None, None, (*ours.cross.keys(outputs), lengths))
    torch.testing.assert_close(y, expected)


class Nothing(nn.Module):
    """In the place of a dropout: what passes through it is lost."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0 * x


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("with_source", [True, False])
def test_every_sublayer_has_dropout_before_it_is_added(norm: str, with_source: bool) -> None:
    cross = CrossAttention(D, D, N) if with_source else None
    block = Block(SelfAttention(D, N, causal=True), 16, cross=cross, norm=norm)
    block.dropout = Nothing()
    x = torch.randn(B, T, D)
    source = (*cross.keys(torch.randn(B, S, D)), torch.full((B,), S)) if cross else None
    expected = x
    for each in block.norms if norm == "post" else ():
        expected = each(expected)
    torch.testing.assert_close(block(x, None, None, source)[0], expected)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_only_a_pre_norm_stack_is_normalised_at_its_end(norm: str) -> None:
    torch.manual_seed(0)
    blocks = Blocks(D, D, (Block(SelfAttention(D, N, causal=True), 16, norm=norm) for _ in range(2)), position=None)
    with torch.no_grad():
        for parameter in blocks.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    x = torch.randn(B, T, D)
    first, second = blocks.blocks
    expected = second(first(x)[0])[0]
    if norm == "pre":
        expected = blocks.norm(expected)
        assert not torch.allclose(expected, second(first(x)[0])[0])
    torch.testing.assert_close(blocks(x)[0], expected)


def test_blocks_continue_after_the_last_step_of_each_sequence() -> None:
    torch.manual_seed(0)
    blocks = (
        Blocks(3, D, (Block(SelfAttention(D, N, causal=True), 16) for _ in range(2)), max_length=20).double().eval()
    )
    x, more = torch.randn(B, T, 3, dtype=torch.float64), torch.randn(B, 2, 3, dtype=torch.float64)
    lengths = torch.tensor([5, 2, 1])
    _, state = blocks(x, None, lengths)
    y, _ = blocks(more, state)
    for b, length in enumerate(lengths.tolist()):
        whole, _ = blocks(torch.cat([x[b : b + 1, :length], more[b : b + 1]], dim=1))
        torch.testing.assert_close(y[b : b + 1], whole[:, length:])


def test_an_unknown_norm_is_refused() -> None:
    with pytest.raises(ConfigError, match='norm must be "pre" or "post": got \'rms\''):
        Block(SelfAttention(D, N, causal=True), 16, norm="rms")
    with pytest.raises(ConfigError, match='normalization must be "layer" or "rms": got \'batch\''):
        Block(SelfAttention(D, N, causal=True), 16, normalization="batch")
