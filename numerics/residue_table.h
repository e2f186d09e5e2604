/* SPDX-License-Identifier: MIT */
/*
 * Constants of residue_avx512.h.  All follow from the moduli m[0..11]; a wrong one makes
 * every sum wrong that uses it.  Four weights of a byte each stand in a word, lowest first;
 * "least" is the residue of least magnitude, -127..127 (-128..127 modulo 256).
 */
#ifndef QUIRE_RESIDUE_TABLE_H
#define QUIRE_RESIDUE_TABLE_H

#include <stdint.h>

#define RESIDUE_MODULI 12

/*
 * Of integers to residues modulo m, as words that residue_of_words() takes as they are.
 *	inverse		-1 / m modulo 2^32
 *	more		[is_signed][narrow], see there: 2^15 or 2^15 / m to nearest, less the bias unless
 *			narrow; in both halves
 *	lower, upper	m and 2^8 m, in both halves
 *	middle		(m - 1) / 2 in all bytes
 * The bias, in units of 2^16 modulo 2^32: M / m * RESIDUE_MAGIC_BITS, M the multiple of its group.
 */
static const struct residue_modulus {
	int32_t m;
	uint32_t inverse, more[2][2], lower, upper, middle;
} residue_modulus[RESIDUE_MODULI] = {
#define RESIDUE_TWICE(x) (((x) & 0xffffu) * 0x00010001u)
#define RESIDUE_MORE(x, bias) { RESIDUE_TWICE((x) - (bias)), RESIDUE_TWICE(x) }
#define RESIDUE_MODULUS(m, inverse, bias)                                                      \
	{ m, inverse, { RESIDUE_MORE((0x8000u + (m) / 2) / (m), bias), RESIDUE_MORE(0x8000u, bias) }, \
	  RESIDUE_TWICE(m), RESIDUE_TWICE((m) << 8), (m) / 2 * 0x01010101u }
	{ 256, 0, { { 0 } }, 0, 0, 0 },
	RESIDUE_MODULUS(255, 0x01010101, 0x1140),
	RESIDUE_MODULUS(253, 0x194be3ab, 0x85c0),
	RESIDUE_MODULUS(251, 0x65fdf5cd, 0xd040),
	RESIDUE_MODULUS(247, 0x10953f39, 0x5740),
	RESIDUE_MODULUS(241, 0xef010fef, 0x91c0),
	RESIDUE_MODULUS(239, 0xbc84d1f1, 0xa640),
	RESIDUE_MODULUS(233, 0xe02328a7, 0xefc0),
	RESIDUE_MODULUS(229, 0xb8744313, 0xc2c0),
	RESIDUE_MODULUS(227, 0x645ebb35, 0xc000),
	RESIDUE_MODULUS(223, 0x24bc44e1, 0xc000),
	RESIDUE_MODULUS(217, 0xc04b8097, 0x4000),
#undef RESIDUE_MODULUS
#undef RESIDUE_MORE
#undef RESIDUE_TWICE
};

/*
 * Moduli up to end - 1, the first from 1 on: a multiple M of all of them below 2^32, and 2^20 / M,
 * which is off by less than 2^-24.5 of it.
 */
static const struct residue_group {
	uint32_t end, multiple;
	float inverse;
} residue_group[3] = {
	{ 5, 0xee672287, 0x1.12e562p-12f },
	{ 9, 0xb72efc93, 0x1.65c2ecp-12f },
	{ 12, 0xa79d3500, 0x1.86fe4ep-12f },
};

/*
 * Of residues back to an integer, with the first 1, 2, ... 12 moduli.  P is their product,
 * its lower 44 bits and the rest.  For each of them, with C = P / m and I the inverse of C
 * modulo m, times 2^64 if m is odd (see residue_pack_narrow()): the least residues of I * 2^0,
 * I * 2^8, I * 2^16, I * 2^24; start: that of -(I * 2^27); the lower 44 bits of C and the rest,
 * below 2^44.
 */
static const struct residue_system {
	uint64_t low, high;
	struct residue_back {
		uint32_t weights;
		int32_t start;
		uint64_t low, high;
	} back[RESIDUE_MODULI];
} residue_system[RESIDUE_MODULI] = {
	{ 0x00000000100ull, 0x00000000000ull, {
		{ 0x00000001, 0, 0x00000000001ull, 0x00000000000ull },
	} },
	{ 0x0000000ff00ull, 0x00000000000ull, {
		{ 0x000000ff, 0, 0x000000000ffull, 0x00000000000ull },
		{ 0x01010101, -8, 0x00000000100ull, 0x00000000000ull },
	} },
	{ 0x00000fc0300ull, 0x00000000000ull, {
		{ 0x000000ab, 0, 0x0000000fc03ull, 0x00000000000ull },
		{ 0x7f7f7f7f, 4, 0x0000000fd00ull, 0x00000000000ull },
		{ 0x326576d3, 106, 0x0000000ff00ull, 0x00000000000ull },
	} },
	{ 0x000f716f100ull, 0x00000000000ull, {
		{ 0x00000011, 0, 0x00000f716f1ull, 0x00000000000ull },
		{ 0x20202020, -1, 0x00000f80f00ull, 0x00000000000ull },
		{ 0xe74cc598, -53, 0x00000fa0500ull, 0x00000000000ull },
		{ 0xfccd2808, 32, 0x00000fc0300ull, 0x00000000000ull },
	} },
	{ 0x0ee67228700ull, 0x00000000000ull, {
		{ 0x00000037, 0, 0x000ee672287ull, 0x00000000000ull },
		{ 0xfcfcfcfc, 32, 0x000ef567900ull, 0x00000000000ull },
		{ 0xda9f34bd, 51, 0x000f13ad300ull, 0x00000000000ull },
		{ 0x01cef6fe, -8, 0x000f326e500ull, 0x00000000000ull },
		{ 0xaff7ffc9, -93, 0x000f716f100ull, 0x00000000000ull },
	} },
	{ 0x06f17811700ull, 0x0000000000eull, {
		{ 0x000000a7, 0, 0x0e06f178117ull, 0x00000000000ull },
		{ 0x93939393, 107, 0x0e15067e900ull, 0x00000000000ull },
		{ 0xd9f3506f, 59, 0x0e31860a300ull, 0x00000000000ull },
		{ 0x190501ce, 51, 0x0e4e79d9500ull, 0x00000000000ull },
		{ 0x9286d7e0, -108, 0x0e89c98e100ull, 0x00000000000ull },
		{ 0xcc6dc7cc, -66, 0x0ee67228700ull, 0x00000000000ull },
	} },
	{ 0x7b6f1847900ull, 0x00000000d18ull, {
		{ 0x000000c9, 0, 0x187b6f18479ull, 0x0000000000dull },
		{ 0xd7d7d7d7, 73, 0x25a11028700ull, 0x0000000000dull },
		{ 0x3913b2e6, 50, 0x403c2382d00ull, 0x0000000000dull },
		{ 0xe997eb2e, -67, 0x5b43c1e1b00ull, 0x0000000000dull },
		{ 0xd04d2404, -110, 0x92a32ba0f00ull, 0x0000000000dull },
		{ 0x1a42a41a, 33, 0xe92493c0900ull, 0x0000000000dull },
		{ 0x5ca36bc0, -19, 0x06f17811700ull, 0x0000000000eull },
	} },
	{ 0x581d1922100ull, 0x000000beb48ull, {
		{ 0x000000e1, 0, 0x48581d19221ull, 0x00000000bebull },
		{ 0x53535353, 101, 0x3f97b4cdf00ull, 0x00000000bf7ull },
		{ 0x6f25b8e8, 124, 0x76bc520f500ull, 0x00000000c0full },
		{ 0x47dc2b6d, -66, 0x10ab7669300ull, 0x00000000c28ull },
		{ 0x4a764423, -98, 0x7682b57a700ull, 0x00000000c5aull },
		{ 0x39349339, 26, 0x324a7a43100ull, 0x00000000ca9ull },
		{ 0xa19816bb, 43, 0x51c647def00ull, 0x00000000cc4ull },
		{ 0xfd0a91a0, 24, 0x7b6f1847900ull, 0x00000000d18ull },
	} },
	{ 0xd2077b78500ull, 0x0000aa977b6ull, {
		{ 0x0000004d, 0, 0xb6d2077b785ull, 0x000000aa977ull },
		{ 0xf3f3f3f3, 104, 0xe2b4bc37b00ull, 0x000000ab42bull },
		{ 0x1b090301, 37, 0x367567b2900ull, 0x000000ac9d5ull },
		{ 0x1fd4c5c2, 3, 0xe960ec17f00ull, 0x000000adfd6ull },
		{ 0xc5de6a9e, -22, 0x02ec5686300ull, 0x000000b0cecull },
		{ 0xbf4cf5bf, 38, 0xfc9f5dfd500ull, 0x000000b5359ull },
		{ 0x926aceef, -76, 0x265e4a6cb00ull, 0x000000b6b9dull },
		{ 0x3b725618, -6, 0x6a60b803d00ull, 0x000000bb6e6ull },
		{ 0xc03935f1, 54, 0x581d1922100ull, 0x000000beb48ull },
	} },
	{ 0x3ca27baef00ull, 0x0097445271cull, {
		{ 0x0000000f, 0, 0x1c3ca27baefull, 0x00009744527ull },
		{ 0x2e2e2e2e, -113, 0x0642e561100ull, 0x000097dc2eaull },
		{ 0x6acf446b, -89, 0x4a1af355b00ull, 0x0000990f80full },
		{ 0x33d8f89a, 94, 0xf0f15939d00ull, 0x00009a47b90ull },
		{ 0x28e9e24f, -73, 0x9790b8fc900ull, 0x00009cc7546ull },
		{ 0xd11d12d1, -106, 0x0150579df00ull, 0x0000a0ae8cbull },
		{ 0x311f2c65, 86, 0x059bfe60100ull, 0x0000a206c59ull },
		{ 0x1deda4fc, 1, 0x53c32b61700ull, 0x0000a632e50ull },
		{ 0x20565895, -27, 0x21cd4934300ull, 0x0000a91a126ull },
		{ 0x025e69c5, -16, 0xd2077b78500ull, 0x0000aa977b6ull },
	} },
	{ 0xd189bd63100ull, 0x83c483d1198ull, {
		{ 0x000000d1, 0, 0x98d189bd631ull, 0x0083c483d11ull },
		{ 0x8f8f8f8f, -116, 0x7445cf8cf00ull, 0x008448cc9dbull },
		{ 0xb994dcf4, 62, 0x8d79f7a4500ull, 0x00855481551ull },
		{ 0x2b6d48aa, -93, 0xe23cb95c300ull, 0x0086647a341ull },
		{ 0xac493f07, -69, 0x07112401700ull, 0x008891a287eull },
		{ 0x10f1ff10, 113, 0x24fc5294100ull, 0x008bf80c8d6ull },
		{ 0xee0d39af, -95, 0xe2e295adf00ull, 0x008d23e618bull },
		{ 0x43bcac2f, -70, 0xf702c9e0900ull, 0x0090c6557f8ull },
		{ 0x473ea538, -110, 0x71d2c475d00ull, 0x00934db6037ull },
		{ 0x715aadd6, 4, 0xf4848dcdb00ull, 0x009499f4840ull },
		{ 0xc8cff1d7, 2, 0x3ca27baef00ull, 0x0097445271cull },
	} },
	{ 0x9dc188f8900ull, 0x6fb193bc3ea89ull, {
		{ 0x000000b9, 0, 0x899dc188f89ull, 0x6fb193bc3eaull },
		{ 0xd4d4d4d4, 97, 0x8f2cee77700ull, 0x7021b571b05ull },
		{ 0x090301ac, -72, 0xec62ea47d00ull, 0x7104a1a1220ull },
		{ 0x904e74e5, -108, 0xc5791f24b00ull, 0x71eb2b962d8ull },
		{ 0xa0a34808, 27, 0xfd878537f00ull, 0x73c372c52d3ull },
		{ 0xaf5bf6af, -75, 0x59e1ff81900ull, 0x76a542a3d85ull },
		{ 0x42201e3a, -50, 0x5210e070700ull, 0x77a36e0af93ull },
		{ 0xb3cacb63, -83, 0x615d1f5a100ull, 0x7ab81e79209ull },
		{ 0xe72167af, -29, 0x7ba887dd500ull, 0x7cdcdf48effull },
		{ 0xdef71f5f, 45, 0x445c335a300ull, 0x7df68043f0full },
		{ 0xbfe3932c, 74, 0x65bad749700ull, 0x8038e9e26efull },
		{ 0xeffa64fd, -81, 0xd189bd63100ull, 0x83c483d1198ull },
	} },
};

/*
 * Parts of 1, in units of 2^-64: 2^64 / m is c + lost.  c is one of the two integers next to it,
 * so that sums of lost over the first moduli are within +-0.5.  begin: of all moduli up to this one,
 * -(0x4b400000 c), modulo 2^64; lost_begin: -(12582912 lost).
 */
static const struct residue_fraction {
	uint64_t c;
	float lost;
	uint64_t begin;
	float lost_begin;
} residue_fraction[RESIDUE_MODULI] = {
	{ 0x0100000000000000ull, 0.0f / 256, 0x0000000000000000ull, 0.0f },
	{ 0x0101010101010101ull, 1.0f / 255, 0x7474747474c00000ull, -49344.7578125f },
	{ 0x0103091b51f5e1a5ull, -17.0f / 253, 0x2c9cede0b4800000ull, 796147.375f },
	{ 0x0105197f7d734041ull, 69.0f / 251, 0x72fccd3d99400000ull, -2662900.25f },
	{ 0x010953f39010953full, 55.0f / 247, 0x1ae3ed5ed4800000ull, -5464763.0f },
	{ 0x010fef010fef0110ull, -16.0f / 241, 0x0af4ec4ee0800000ull, -4629383.0f },
	{ 0x0112358e75d30337ull, -89.0f / 239, 0xead2a59cf5c00000ull, 56303.8046875f },
	{ 0x0119453808ca29c0ull, 64.0f / 233, 0x323d38d745c00000ull, -3399946.75f },
	{ 0x011e2ef3b3fb8744ull, 44.0f / 229, 0x0f95895488c00000ull, -5817624.0f },
	{ 0x0120b470c67c0d89ull, -123.0f / 227, 0xe93d925a03800000ull, 1000429.3125f },
	{ 0x0125e22708092f11ull, 49.0f / 223, 0xf020df4444400000ull, -1764425.875f },
	{ 0x012e025c04b80970ull, 16.0f / 217, 0x63bdc67e18400000ull, -2692198.25f },
};

#endif /* QUIRE_RESIDUE_TABLE_H */
