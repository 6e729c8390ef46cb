"""Tables of word vectors: read, compare by analogies, translate into each other, train.

table           words and their vectors
vector_files    read word2vec, GloVe, fastText and npz files; write them
table_reader    the text and binary formats
table_archive   npz archives
question_files  questions of analogies and pairs of a dictionary
analogies       a : b :: c : ? by 3CosAdd and 3CosMul
retrieval       nearest words by cosine and by CSLS
alignment       the rotation of one table onto another, from a dictionary
adversarial     the same without a dictionary
translation     both, and how often the first answers are right
products        cosines of many vectors with many others
corpus          a text as word numbers
skipgram        training by skip-gram with negative sampling
record          the result as a JSON file
evaluation      all of it in one call

    from bench import embeddings

    table = embeddings.read_embeddings("vectors.txt")
    record = embeddings.evaluate(table, analogies="questions.txt").record

Importing this package loads no library; each name below loads what it needs on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from bench.embeddings.adversarial import AdversarialSettings as AdversarialSettings
    from bench.embeddings.adversarial import align_without_dictionary as align_without_dictionary
    from bench.embeddings.alignment import orthogonal_map as orthogonal_map
    from bench.embeddings.alignment import refine as refine
    from bench.embeddings.analogies import answer_analogies as answer_analogies
    from bench.embeddings.analogies import score_analogies as score_analogies
    from bench.embeddings.evaluation import evaluate as evaluate
    from bench.embeddings.question_files import read_analogies as read_analogies
    from bench.embeddings.question_files import read_dictionary as read_dictionary
    from bench.embeddings.record import EmbeddingRecord as EmbeddingRecord
    from bench.embeddings.retrieval import nearest_words as nearest_words
    from bench.embeddings.skipgram import SkipGramSettings as SkipGramSettings
    from bench.embeddings.skipgram import train as train
    from bench.embeddings.table import EmbeddingTable as EmbeddingTable
    from bench.embeddings.vector_files import read_embeddings as read_embeddings
    from bench.embeddings.vector_files import write_embeddings as write_embeddings

_MODULES = {
    "AdversarialSettings": "bench.embeddings.adversarial",
    "align_without_dictionary": "bench.embeddings.adversarial",
    "orthogonal_map": "bench.embeddings.alignment",
    "refine": "bench.embeddings.alignment",
    "answer_analogies": "bench.embeddings.analogies",
    "score_analogies": "bench.embeddings.analogies",
    "evaluate": "bench.embeddings.evaluation",
    "read_analogies": "bench.embeddings.question_files",
    "read_dictionary": "bench.embeddings.question_files",
    "EmbeddingRecord": "bench.embeddings.record",
    "nearest_words": "bench.embeddings.retrieval",
    "SkipGramSettings": "bench.embeddings.skipgram",
    "train": "bench.embeddings.skipgram",
    "EmbeddingTable": "bench.embeddings.table",
    "read_embeddings": "bench.embeddings.vector_files",
    "write_embeddings": "bench.embeddings.vector_files",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
