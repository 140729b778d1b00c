import pytest
import torch


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """A BERT of one layer with random weights, saved as sentence-transformers does."""
    st = pytest.importorskip("sentence_transformers")
    transformers = pytest.importorskip("transformers")
    letters = [*"abcdefghijklmnopqrstuvwxyz0123456789-?!", *(f"##{c}" for c in "abcdefghij")]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "kettle", "blue", "red", *letters]
    folder = tmp_path_factory.mktemp("checkpoint")
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = transformers.BertTokenizerFast(str(folder / "vocab.txt"))
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    transformers.BertModel(config).save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    # A plain BERT gets a mean over its tokens.
    st.SentenceTransformer(str(folder / "bert"), device="cpu").save(str(folder / "st"))
    return str(folder / "st")
