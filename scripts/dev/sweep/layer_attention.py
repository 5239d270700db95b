"""MultiheadAttention, the transformer's layers and stacks, and the encodings of positions as layers."""
import torch
from sweep import Call, Opts, family

ops = family("attention")


class PositionalEncoding(torch.nn.Module):
    def __init__(self, d_model, max_len, batch_first, learnt=False):
        super().__init__()
        self.batch_first, self.learnt = batch_first, learnt
        if learnt:
            self.weight = torch.nn.Parameter(torch.zeros(max_len, d_model))
        else:
            self.register_buffer("pe", ops.sinusoids(max_len, d_model))

    def forward(self, x, offset=0):
        n = x.shape[1 if x.dim() == 3 and self.batch_first else 0]
        rows = (self.weight if self.learnt else self.pe)[offset:offset + n]
        return x + (rows[:, None] if x.dim() == 3 and not self.batch_first else rows)


def attention(s):
    def mha(*settings, q=4, k=None, v=None, length=3, keys=5, n=2, first=False, **call):
        shapes = [[length, q], [keys, k or q], [keys, v or q]]
        if n:
            shapes = [[n] + x if first else [x[0], n, x[1]] for x in shapes]
        s.layer("MultiheadAttention", *settings, inputs=[s.t(x) for x in shapes] + ([Opts(**call)] if call else []), batch=1 - first if n else None)

    mha(4, 2)
    mha(4, 2, Opts(batch_first=True), first=True)
    mha(4, 1, n=0)
    mha(6, 3, Opts(bias=False), q=6)
    mha(4, 2, Opts(kdim=3, vdim=5), k=3, v=5)
    mha(4, 2, Opts(kdim=3, vdim=5, batch_first=True, bias=False), k=3, v=5, first=True, need_weights=False)
    mha(4, 2, Opts(add_bias_kv=True, add_zero_attn=True))
    mha(4, 2, Opts(add_bias_kv=True), need_weights=False, key_padding_mask=s.b([2, 5]), attn_mask=s.b([3, 5]))
    mha(4, 2, Opts(add_zero_attn=True), need_weights=False, key_padding_mask=s.t([2, 5], grad=False))
    for need in (True, False):
        for average in (True, False):
            mha(4, 2, need_weights=need, average_attn_weights=average)
        mha(4, 2, Opts(batch_first=True), first=True, need_weights=need, attn_mask=s.t([3, 5], grad=False))
        mha(4, 2, Opts(add_zero_attn=True), need_weights=need, attn_mask=s.t([4, 3, 5], grad=False), key_padding_mask=s.t([2, 5], grad=False))
        mha(4, 2, Opts(add_zero_attn=True), need_weights=need, attn_mask=s.b([4, 3, 5]))
        mha(4, 2, Opts(add_zero_attn=True), n=0, need_weights=need, key_padding_mask=s.b([5]), attn_mask=s.b([3, 5]))
        mha(64, 4, q=64, length=9, keys=11, need_weights=need)


def cases(s):
    attention(s)
    small = dict(dim_feedforward=6, dropout=0.0)
    for more in ({}, {"norm_first": True}, {"batch_first": True, "activation": "gelu"}, {"bias": False, "norm_first": True, "layer_norm_eps": 0.01}):
        first = more.get("batch_first")
        src, memory = [3, 2, 8], [5, 2, 8]
        if first:
            src, memory = [2, 3, 8], [2, 5, 8]
        b = 0 if first else 1
        o = Opts(**small, **more)
        s.layer("TransformerEncoderLayer", 8, 2, o, inputs=[s.t(src)], batch=b)
        s.layer("TransformerEncoderLayer", 8, 2, o, inputs=[s.t(src), Opts(src_mask=s.t([3, 3], grad=False), src_key_padding_mask=s.t([2, 3], grad=False))], batch=b)
        s.layer("TransformerDecoderLayer", 8, 2, o, inputs=[s.t(src), s.t(memory)], batch=b)
        s.layer("TransformerDecoderLayer", 8, 2, o, inputs=[s.t(src), s.t(memory), Opts(tgt_mask=s.t([3, 3], grad=False), memory_mask=s.t([3, 5], grad=False),
                memory_key_padding_mask=s.t([2, 5], grad=False))], batch=b)
        for norm in (False, True):
            for kind in ("Encoder", "Decoder"):
                inputs = [s.t(src)] + ([s.t(memory)] if kind == "Decoder" else [])

                def make(kind=kind, norm=norm):
                    layer = getattr(torch.nn, "Transformer%sLayer" % kind)(8, 2, **small, **more)
                    eps = {"eps": more.get("layer_norm_eps", 1e-5), "bias": more.get("bias", True)}
                    if kind == "Encoder":
                        return torch.nn.TransformerEncoder(layer, 2, torch.nn.LayerNorm(8, **eps) if norm else None, enable_nested_tensor=False)
                    return torch.nn.TransformerDecoder(layer, 2, torch.nn.LayerNorm(8, **eps) if norm else None)
                settings = Opts(**small, **more, norm=norm)
                s.layer("Transformer" + kind, inputs=inputs, make=make, batch=b, lua_text="nn.Transformer%s(8,2,2,%s)" % (kind, settings.lua()))
        s.layer("Transformer", 8, 2, 1, 2, o, inputs=[s.t(memory), s.t(src)], batch=b)
        s.layer("Transformer", 8, 2, 1, 1, o, inputs=[s.t(memory), s.t(src), Opts(src_mask=s.t([5, 5], grad=False), tgt_mask=s.t([3, 3], grad=False),
                src_key_padding_mask=s.t([2, 5], grad=False))], batch=b)
    for first, shape in ((False, [3, 2, 4]), (True, [2, 3, 4]), (False, [3, 4])):
        for offset in (0, 2):
            s.layer("PositionalEncoding", inputs=[s.t(shape), offset], make=lambda: PositionalEncoding(4, 6, first), batch=None,
                    lua_text="nn.PositionalEncoding(4,0,6,%s)" % str(first).lower())
            s.layer("PositionalEmbedding", inputs=[s.t(shape), offset], make=lambda: PositionalEncoding(4, 6, first, True), batch=None,
                    lua_text="nn.PositionalEmbedding(4,0,6,%s)" % str(first).lower())
    for interleaved in (True, False):
        s.layer("RotaryEmbedding", inputs=[s.t([2, 3, 4]), 1], lua_text="nn.RotaryEmbedding(100,%s)" % str(interleaved).lower(),
                make=lambda: Call(lambda x, o: ops.rope(x, 100.0, o, interleaved)), batch=None)
    for heads in (1, 3, 4):
        s.layer("ALiBi", inputs=[s.t([2, 3, 4], grad=False)], lua_text="nn.ALiBi(%d)" % heads, batch=None,
                make=lambda: Call(lambda q: ops.alibi(heads, q.shape[-2]).to(q.dtype)))
        s.layer("ALiBi", inputs=[s.t([3, 4], grad=False), s.t([5, 4], grad=False)], lua_text="nn.ALiBi(%d)" % heads, batch=None,
                make=lambda: Call(lambda q, k: ops.alibi(heads, q.shape[-2], k.shape[-2]).to(q.dtype)))
