import subprocess
import sys


def test_files_are_read_without_torch_or_tokenizers():
    program = """if True:
        import sys
        from unrolled.config import DataConfig
        from unrolled.data.splits.labelled import load_splits
        load_splits("sample:products", DataConfig())
        assert not {"torch", "tokenizers", "pandas", "pyarrow"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", program], check=True)
