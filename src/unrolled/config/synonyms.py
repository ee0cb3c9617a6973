"""Names that other tools have for settings and options, so that a message can give ours."""

from __future__ import annotations

from collections.abc import Iterable

from unrolled.errors import nearest

__all__ = ["suggestion", "synonyms"]

SYNONYMS = {
    "model": "arch architecture net network model_type",
    "embedding_size": "d_embed emb_dim emb_size embed_dim embed_size embedding_dim word_vec_size",
    "hidden_size": "d_model dim hidden hidden_dim model_dim num_units rnn_size units",
    "num_layers": "depth layers n_layer n_layers num_hidden_layers",
    "num_heads": "heads n_head n_heads nhead num_attention_heads",
    "kv_heads": "n_kv_heads num_key_value_heads",
    "feedforward_size": "d_ff dim_feedforward ff_dim ff_size ffn_dim intermediate_size",
    "bidirectional": "bidir bilstm birnn brnn",
    "dropout": "drop dropout_p dropout_rate p_dropout",
    "recurrent_dropout": "rnn_dropout weight_drop",
    "window": "block_size context context_length n_ctx seq_len",
    "nonlinearity": "act activation hidden_act",
    "tied": "share_embeddings tie tie_embeddings tie_weights",
    "batch_tokens": "batch batch_size bs max_tokens per_device_train_batch_size train_batch_size",
    "accumulate": "accum accumulate_grad_batches accumulation_steps gradient_accumulation_steps update_freq",
    "epochs": "epoch max_epoch max_epochs n_epochs num_epochs num_train_epochs",
    "updates": "iterations max_iters max_steps max_update num_steps steps train_steps",
    "learning_rate": "eta lr max_lr rate step_size",
    "warmup": "warmup_ratio warmup_steps",
    "schedule": "decay lr_schedule lr_scheduler scheduler",
    "weight_decay": "l2 wd",
    "class_weights": "class_weight pos_weight",
    "clip": "clip_norm clipnorm grad_clip gradient_clip gradient_clip_val max_grad_norm",
    "patience": "early_stop early_stopping early_stopping_patience",
    "average": "ema ema_decay swa",
    "seed": "random_seed random_state rng",
    "device": "cuda gpu",
    "threads": "cores cpus jobs n_jobs num_threads num_workers workers",
    "precision": "amp bf16 dtype fp16 mixed_precision",
    "out": "o output output_dir save save_dir",
    "text": "text_col text_column text_field x",
    "label": "label_col label_column label_field target_column y",
    "source": "source_column src src_column",
    "target": "target_col tgt tgt_column trg",
    "source_file": "src_file train_src",
    "target_file": "tgt_file train_tgt",
    "separator": "delim delimiter field_separator sep",
    "valid": "dev dev_file eval_file val valid_file validation validation_file",
    "test": "test_file",
    "valid_fraction": "dev_size val_fraction val_ratio val_split validation_split",
    "test_fraction": "test_ratio test_size test_split_ratio",
    "folds": "cv k k_folds kfold n_splits",
    "tokenizer": "level tokenization unit",
    "vocabulary_size": "max_features max_vocab n_vocab num_words vocab vocab_size",
    "min_frequency": "min_count min_df min_freq",
    "lowercase": "do_lower_case lower",
    "vectors": "embeddings glove pretrained_embeddings pretrained_vectors w2v word_vectors",
    "length": "max_gen_len max_len max_length max_new_tokens n_tokens num_tokens",
    "beam": "beam_size beam_width beams num_beams",
    "n_best": "nbest num_return_sequences",
    "length_penalty": "alpha lenpen",
    "temperature": "temp",
    "top": "top_n topk",
    "no_repeat_ngram": "no_repeat_ngram_size ngram_block",
}
"""By our name, the names in other tools."""


def synonyms() -> dict[str, str]:
    """Return our name by the name in other tools."""
    return {other: name for name, others in SYNONYMS.items() for other in others.split()}


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean "…"?)" for the known name that other tools call `word`, or else for the nearest, or ""."""
    known = list(known)
    ours = synonyms().get(word)
    return f' (did you mean "{ours}"?)' if ours in known else nearest(word, known)
