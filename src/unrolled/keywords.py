"""Types of the keyword arguments of `unrolled.train` and the other verbs, for editors and type checkers.

    from unrolled.keywords import Settings

    small: Settings = {"model": "lstm", "hidden_size": 64}
    run = unrolled.train("reviews.csv", **small)

Written by tools/keywords.py from the schemas in `unrolled.config` and `unrolled.decoding.options`: change those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

__all__ = ["DecodeKeywords", "EvaluateKeywords", "Settings"]


class Settings(TypedDict, total=False):
    """Types of all settings, by flat name; see `unrolled config`."""

    task: Literal["classify", "regress", "tag", "translate", "generate"]
    """task: classify, regress, tag, translate or generate."""
    text: str
    """column (or JSON key) of the text."""
    label: str
    """column (or JSON key) of the label, or of the number (task regress); of the tag in CoNLL-U; with --multi-
    label also several columns of 0 and 1, with commas between their names."""
    strip_labels: bool
    """remove blanks around labels (tasks classify and tag)."""
    fold_labels: bool
    """fold the case of labels to small letters, of tags to capitals (tasks classify and tag)."""
    multi_label: bool
    """read and answer any number of labels for a text, also none (task classify)."""
    label_separator: str
    """with --multi-label, the text between two labels of a text; \t: a tab; lists in JSON need none."""
    decimal: Literal[".", ","]
    """character before the decimals of a number in text (task regress), as in 0.5 or 0,5."""
    column: int
    """number of the column with the tag, from 2, or -1 for the last, in files of tagged words other than
    CoNLL-U (task tag)."""
    source: str
    """column (or JSON key) of the source (task translate)."""
    target: str
    """column (or JSON key) of the target (task translate)."""
    header: bool
    """the first row of a CSV or TSV file names the columns; --no-header: it is data, and columns are named by
    number, as in --text 2 --label 1."""
    separator: str
    """character between the columns of a CSV, TSV or TXT file, or its name: comma, semicolon, tab, bar, space;
    auto: recognised from the header."""
    valid: str | None
    """file with the validation examples, instead of a split of the data."""
    test: str | None
    """file with the test examples, instead of a split of the data."""
    valid_fraction: float
    """fraction of the data for the validation split."""
    test_fraction: float
    """fraction of the data for the test split."""
    split_seed: int
    """seed of the splits (equal texts are always in the same split)."""
    folds: int | None
    """number of folds of a cross-validation: a training for each, which tests on that fold; the folds take the
    place of --test-fraction."""
    fold: int | None
    """with --folds: train for this fold only, from 1."""
    on_bad_row: Literal["stop", "skip"]
    """stop at a bad row, or skip it (skipped rows are counted and listed)."""
    tokenizer: Literal["auto", "character", "byte", "word", "bpe"]
    """unit of a token; auto: by the data, words or byte pairs as the task usually has them, characters for
    short texts of mostly new words, as names are."""
    source_tokenizer: Literal["character", "byte", "word", "bpe"] | None
    """unit of a source token (task translate); default: the same as --tokenizer."""
    shared_vocabulary: bool
    """one vocabulary for sources and targets (task translate)."""
    vocabulary_size: int
    """maximum number of tokens in the vocabulary, including 5 special ones."""
    whole_words: int
    """maximum number of whole words added to the vocabulary, each read after its subwords (task tag)."""
    min_frequency: int
    """minimum number of occurrences in the training split; rarer tokens become <unk>."""
    lowercase: bool
    """convert text to lower case (tokenizer word only)."""
    normalize: Literal["none", "nfc", "nfkc"]
    """normal form of Unicode to which all texts are brought: nfc composes characters, nfkc also unifies their
    variants (tokenizer word composes anyway)."""
    max_length: int
    """maximum tokens of a source or target (task translate)."""
    truncate: bool
    """truncate sources and targets beyond the maximum length instead of refusing them (task translate)."""
    by: Literal["image", "row", "column", "pixel"] | None
    """time steps of an image: the whole image at once, or one row, column or pixel a step; default for image
    data: image with model feedforward, else row."""
    permutation_seed: int | None
    """seed of a random permutation of the pixels, the same for all images (permuted MNIST)."""
    class_names: str | list[str] | None
    """file with the names of numeric labels, a line each, in their order; answers and tables show them (task
    classify); in TOML and Python also a list."""
    cache: str | None
    """folder where the ids of large data are cached (task generate: of all texts); default: the user's cache
    folder."""
    model: Literal[
        "feedforward",
        "elman",
        "lstm",
        "gru",
        "encoder_decoder",
        "attention",
        "transformer",
        "gpt",
        "linear_attention",
        "mingru",
        "xlstm",
        "mamba2",
        "gated_deltanet",
        "hybrid",
    ]
    """model architecture."""
    embedding_size: int
    """size D of token embeddings."""
    embedding_std: float
    """standard deviation of initial embeddings: small if most tokens are rare, 1 if all are frequent."""
    hidden_size: int
    """size H of a hidden layer or state."""
    num_layers: int
    """number of stacked layers."""
    bidirectional: bool
    """read the sequence in both directions; model feedforward: a window centred on each step."""
    read: Literal["last", "mean", "max"] | None
    """pooling of the outputs into one answer; default: last, or mean with model feedforward."""
    window: int | None
    """context window in tokens: model feedforward with an answer at each step (default: 16), model gpt (64);
    model transformer: maximum length of a sequence (default: unlimited, or 1024 with learned positions)."""
    num_heads: int
    """number N of heads: of attention, and of cells with a state for each head."""
    kv_heads: int | None
    """number of heads of keys and values, a divisor of num_heads: fewer make the state smaller (Ainslie et al.
    2023); default: num_heads."""
    feedforward_size: int | None
    """inner size of a block's feedforward network; default: 4 hidden_size, or, if gated, 8/3 hidden_size (up to
    a multiple of 8), which has as many weights."""
    gated: bool
    """gate the feedforward network of a block: SwiGLU with nonlinearity silu, GEGLU with gelu, ReGLU with relu
    (Shazeer 2020)."""
    norm: Literal["pre", "post"]
    """normalisation before or after the layers of a block."""
    normalization: Literal["layer", "rms"]
    """normalisation of a block: by mean and variance, or by the root mean square (Zhang & Sennrich 2019)."""
    position: Literal["sinusoidal", "learned", "rotary"]
    """position encoding of attention: vectors added to the inputs, or rotations of queries and keys (rotary: Su
    et al. 2021)."""
    residual_init: Literal["plain", "scaled"]
    """initial weights of the layers that a block adds to its input: plain, or scaled by 1/√(their number in the
    stack), as in GPT-2."""
    dropout: float
    """dropout rate of embeddings and layer outputs."""
    variational: bool
    """use one dropout mask for all steps of a sequence (Gal & Ghahramani 2016)."""
    recurrent_dropout: float
    """dropout rate of the recurrent input h, with one mask for all steps."""
    zoneout: float
    """probability that a unit of a recurrent state keeps its previous value at a step."""
    nonlinearity: Literal["tanh", "relu", "gelu", "gelu_tanh", "silu"] | None
    """activation function of models elman (default tanh; or relu), feedforward and transformer (relu), gpt and
    residual blocks (gelu); gelu_tanh: the approximation of gelu by tanh, as in GPT-2."""
    forget_bias: float | None
    """initial bias of the LSTM's forget gate; default: 1."""
    cell: (
        Literal[
            "elman",
            "lstm",
            "layernorm_lstm",
            "gru",
            "layernorm_gru",
            "linear_attention",
            "mingru",
            "minlstm",
            "mlstm",
            "slstm",
            "mamba2",
            "gated_deltanet",
        ]
        | None
    )
    """cell of the recurrent layers: of models encoder_decoder and attention any (default: gru), of models lstm
    and gru also layernorm_lstm and layernorm_gru, of model mingru also minlstm."""
    mixers: str | None
    """mixers of the residual blocks of models xlstm and hybrid from the lowest to the highest, cells or
    attention, one for each layer: "gated_deltanet gated_deltanet attention" (default of hybrid, repeated)."""
    convolution: int | None
    """steps of the short convolution before the recurrence of cells mamba2 and gated_deltanet, the step's own
    included (default: 4; 1: none)."""
    negative_eigenvalues: bool
    """let gated_deltanet write with a strength of up to 2 instead of 1, so that a step may change signs (Grazzi
    et al. 2024)."""
    reverse_source: bool
    """read the source in reverse order, so that its first tokens are the most recent (task translate)."""
    score: Literal["additive", "dot", "general"]
    """attention score of model attention, between decoder state and source."""
    input_feeding: bool
    """feed the attention output of a step into the next step (score dot or general)."""
    tied: bool
    """share the weights of the head and the target embedding; with a shared vocabulary of the source embedding,
    too."""
    head_bias: bool
    """train a bias of the logits; without it, as in GPT-2, the bias stays at its initial 0."""
    vectors: str | None
    """file of word vectors (GloVe, word2vec or fastText as text; also .gz, .xz, .bz2) that begin the
    embeddings: of --tokenizer word, and of the whole words of task tag; --embedding-size follows from it."""
    freeze_vectors: bool
    """do not train the embeddings, which --vectors or --from has set; words without a vector keep their random
    values."""
    updates: int | None
    """number of optimiser updates; takes precedence over --epochs."""
    epochs: float | None
    """number of passes over the training split; default: by the data, more where they are few."""
    time_limit: str | None
    """training time, e.g. 90s, 10m or 1.5h; converted to updates, takes precedence over --updates and --epochs;
    past one and a half times the limit the best model so far is saved, and the training can be resumed."""
    batch_tokens: int | None
    """maximum tokens in a batch, including padding; default: by the data, fewer where they are few."""
    batch_images: int | None
    """images in a batch; default: by the data, fewer where they are few."""
    checkpoint_every: int | None
    """updates between checkpoints; default: every 10 seconds, or less often so that they take 2 % of the
    time."""
    streams: int
    """number of parallel streams of the text in a batch (task generate)."""
    chunk: int
    """tokens of each stream in a batch, and steps of truncated backpropagation (task generate; model gpt reads
    whole windows)."""
    accumulate: int
    """batches whose gradients are summed into one update."""
    learning_rate: float
    """peak learning rate of AdamW."""
    warmup: float
    """fraction of the updates in which the learning rate rises."""
    schedule: Literal["cosine", "inverse_sqrt", "plateau", "constant"]
    """learning rate after the warm-up: falling to 0 as a cosine, falling as 1 / √updates, reduced when the
    validation loss stops improving, or constant."""
    plateau_patience: int
    """evaluations without improvement before schedule plateau reduces the learning rate."""
    plateau_factor: float
    """factor by which schedule plateau reduces the learning rate."""
    weight_decay: float
    """decoupled weight decay of weight matrices."""
    label_smoothing: float
    """fraction of each target that is spread over all outputs."""
    class_weights: Literal["none", "balanced", "sqrt"]
    """weights of classes in the loss: inversely proportional to their frequency (balanced), or to its square
    root (sqrt), which costs less accuracy (classify, tag)."""
    temperature_scale: bool
    """at the end, fit on the validation split a temperature that calibrates the probabilities and changes no
    answer (Guo et al. 2017; classify, tag)."""
    average: float
    """decay of the moving average of the weights, e.g. 0.999; the averaged weights are evaluated and saved; 0:
    none."""
    average_best: int
    """number of best evaluations whose weights are averaged at the end; the mean is kept if it is not worse
    than the best on the validation split; 0 or 1: none."""
    precision: Literal["float32", "bf16"]
    """precision of matrix products in training; with bf16, states and sums stay in float32."""
    clip: float
    """maximum norm of the gradient of an update."""
    evaluate_every: int | None
    """updates between evaluations; default: once an epoch, at most 20 times in total."""
    patience: int
    """evaluations without improvement, in the loss and in --best-by, before training stops; 0: never."""
    best_by: Literal["loss", "accuracy", "macro_f1", "micro_f1", "r2", "bleu"]
    """figure on the validation split by which the kept model is chosen: the least loss; or the greatest
    accuracy, and of models within a standard error of it the latest; or the greatest mean F1 of the classes
    (classify, tag), F1 of all decisions (multi-label), R² (regress) or BLEU (translate; each evaluation then
    translates the split)."""
    baseline: bool
    """also learn a baseline that costs seconds, and compare it on the test split: a linear classifier (task
    classify), or the most frequent tag of each word (task tag)."""
    keep: Literal["snapshots"] | None
    """snapshots: save the weights as float16 at ten updates, at growing intervals."""
    tensorboard: bool
    """also write events for TensorBoard (needs the extra unrolled[tensorboard])."""
    seed: int
    """seed of the initial weights, the order of examples and dropout."""
    device: Literal["auto", "cpu", "cuda", "mps"]
    """device of the computation."""
    threads: int | None
    """CPU threads; default: chosen by PyTorch."""
    shards: int | None
    """parts of a batch whose gradients are computed alone and summed in one order: up to so many processes of
    torchrun train with the same bits; default: the number of processes, 1 without torchrun."""
    backend: Literal["auto", "reference", "torch", "fused"]
    """implementation of the recurrent layers."""


class DecodeKeywords(TypedDict, total=False):
    """Options of `decode` of all tasks, each for the tasks that its description names."""

    precision: Literal["float32", "int8"] | None
    """precision of matrix products: float32, or int8, which takes a quarter of the memory and, on a CPU, a
    fraction of the time; answers differ a little, and `evaluate` prints how much."""
    threshold: float | None
    """task classify: probability from which a label is answered (runs trained with --multi-label)."""
    top: int | None
    """task classify and tag: number of classes to print for each text, image or word, the most probable first,
    with their probabilities; all classes with a large number."""
    no_repeat_ngram: int | None
    """task generate and translate: write no n tokens in a row twice, those of the prompt included."""
    repetition_penalty: float | None
    """task generate and translate: above 1 makes the tokens of the prompt and of the answer so far less
    probable: positive logits are divided by it, negative ones multiplied (Keskar et al. 2019)."""
    temperature: float | None
    """task generate and translate: divisor of the logits: below 1 favours probable tokens, above 1 evens them
    out; 0 always takes the most probable token (greedy)."""
    top_k: int | None
    """task generate and translate: choose among the k most probable tokens only."""
    top_p: float | None
    """task generate and translate: choose among the most probable tokens that together have this probability
    (Holtzman et al. 2020)."""
    seed: int | None
    """task generate and translate: seed of the choices; each input has a generator of its own that starts from
    it."""
    length: int | None
    """task generate and translate: maximum number of tokens to write."""
    stop: str | Sequence[str] | None
    """task generate: end the answer before this text; may be repeated."""
    min_length: int | None
    """task translate: minimum number of tokens to write."""
    prefix: str | None
    """task translate: text that each answer begins with."""
    truncate: bool | None
    """task translate: truncate sources beyond the run's maximum length instead of refusing them; their answers
    are marked."""
    beam: int | None
    """task translate: hypotheses kept for each source at each step; 1 is greedy."""
    length_penalty: float | None
    """task translate: with a beam: 0 ranks by probability, which favours short answers; larger values favour
    longer ones (Wu et al. 2016)."""
    n_best: int | None
    """task translate: with a beam: number of answers for each source, the best first; at most the beam's
    size."""
    on_bad_row: Literal["stop", "skip"] | None
    """stop at a bad row, or skip it (skipped rows are counted and listed)."""


class EvaluateKeywords(TypedDict, total=False):
    """Options of `evaluate` of all tasks, and the settings with which data are read for it."""

    precision: Literal["float32", "int8"] | None
    """precision of matrix products: float32, or int8, which takes a quarter of the memory and, on a CPU, a
    fraction of the time; answers differ a little, and `evaluate` prints how much."""
    threshold: float | None
    """task classify: probability from which a label is answered (runs trained with --multi-label)."""
    no_repeat_ngram: int | None
    """task translate: write no n tokens in a row twice, those of the prompt included."""
    repetition_penalty: float | None
    """task translate: above 1 makes the tokens of the prompt and of the answer so far less probable: positive
    logits are divided by it, negative ones multiplied (Keskar et al. 2019)."""
    beam: int | None
    """task translate: hypotheses kept for each source at each step; 1 is greedy."""
    length_penalty: float | None
    """task translate: with a beam: 0 ranks by probability, which favours short answers; larger values favour
    longer ones (Wu et al. 2016)."""
    text: str | None
    """column (or JSON key) of the text."""
    source: str | None
    """column (or JSON key) of the source (task translate)."""
    header: bool | None
    """the first row of a CSV or TSV file names the columns; --no-header: it is data, and columns are named by
    number, as in --text 2 --label 1."""
    separator: str | None
    """character between the columns of a CSV, TSV or TXT file, or its name: comma, semicolon, tab, bar, space;
    auto: recognised from the header."""
    on_bad_row: Literal["stop", "skip"] | None
    """stop at a bad row, or skip it (skipped rows are counted and listed)."""
    label: str | None
    """column (or JSON key) of the label, or of the number (task regress); of the tag in CoNLL-U; with --multi-
    label also several columns of 0 and 1, with commas between their names."""
    decimal: Literal[".", ","] | None
    """character before the decimals of a number in text (task regress), as in 0.5 or 0,5."""
    column: int | None
    """number of the column with the tag, from 2, or -1 for the last, in files of tagged words other than
    CoNLL-U (task tag)."""
    target: str | None
    """column (or JSON key) of the target (task translate)."""
    cache: str | None
    """folder where the ids of large data are cached (task generate: of all texts); default: the user's cache
    folder."""
    truncate: bool | None
    """truncate sources and targets beyond the maximum length instead of refusing them (task translate)."""
    test_split: bool
    """the data are those of the training: evaluate on their test split."""
