"""Hugging Face Trainer: a tiny BERT or GPT-2 with random weights, trained and evaluated each epoch."""

import sys
import tempfile

import torch
from torch.utils.data import Dataset
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    PrinterCallback,
    Trainer,
    TrainingArguments,
    set_seed,
)


class Sentences(Dataset):
    def __init__(self, count, labelled):
        self.count, self.labelled = count, labelled

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        ids = torch.arange(16).mul(index + 1).remainder(90)
        labels = torch.tensor(index % 2) if self.labelled else ids
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def build(kind):
    if kind == "bert":
        sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
        return BertForSequenceClassification(BertConfig(vocab_size=100, **sizes))
    return GPT2LMHeadModel(GPT2Config(vocab_size=100, n_positions=32, n_embd=32, n_layer=2, n_head=2))


if __name__ == "__main__":
    kind = sys.argv[1]
    set_seed(1)
    model = build(kind)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            num_train_epochs=2,
            per_device_train_batch_size=8,
            per_device_eval_batch_size=16,
            gradient_accumulation_steps=int(sys.argv[2]) if len(sys.argv) > 2 else 1,
            eval_strategy="epoch",
            save_strategy="no",
            logging_steps=50,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        labelled = kind == "bert"
        trainer = Trainer(
            model, arguments, train_dataset=Sentences(240, labelled), eval_dataset=Sentences(64, labelled)
        )
        trainer.remove_callback(PrinterCallback)  # it prints how long things took: different in every run
        trainer.train()
    print("weights", repr(float(sum(p.double().abs().sum() for p in model.parameters()))))
