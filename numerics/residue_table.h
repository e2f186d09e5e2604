/* SPDX-License-Identifier: MIT */
/*
 * Constants of residue_avx512.h.  All follow from the moduli m[0..14]; a wrong one makes
 * every sum wrong that uses it.  Four weights of a byte each stand in a word, lowest first;
 * "least" is the residue of least magnitude, -127..127 (-128..127 modulo 256).
 */
#ifndef QUIRE_RESIDUE_TABLE_H
#define QUIRE_RESIDUE_TABLE_H

#include <stdint.h>

#define RESIDUE_MODULI 15

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
	RESIDUE_MODULUS(227, 0x645ebb35, 0xe840),
	RESIDUE_MODULUS(223, 0x24bc44e1, 0x6740),
	RESIDUE_MODULUS(217, 0xc04b8097, 0xfec0),
	RESIDUE_MODULUS(211, 0x9197a8a5, 0xd440),
	RESIDUE_MODULUS(199, 0x10b93f09, 0x0000),
	RESIDUE_MODULUS(197, 0xc2ec81f3, 0x0000),
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
} residue_group[4] = {
	{ 5, 0xee672287, 0x1.12e562p-12f },
	{ 9, 0xb72efc93, 0x1.65c2ecp-12f },
	{ 13, 0x8a2692af, 0x1.da616ep-12f },
	{ 15, 0x99230000, 0x1.abf51cp-12f },
};

/*
 * Of residues back to an integer, with the first 1, 2, ... 15 moduli.  P is their product,
 * C = P / m and I the inverse of C modulo m, times 2^64 if m is odd (see residue_pack_narrow()).
 *	product		P in three parts: 44 bits, 44 bits and the rest
 *	weights		the least residues of I * 2^0, I * 2^8, I * 2^16, I * 2^24
 *	start		that of -(I * 2^27)
 *	part		C in the same parts
 */
static const struct residue_system {
	uint64_t product[3];
	struct residue_back {
		uint32_t weights;
		int32_t start;
		uint64_t part[3];
	} back[RESIDUE_MODULI];
} residue_system[RESIDUE_MODULI] = {
	{ { 0x00000000100ull, 0x00000000000ull, 0x00000000ull }, {
		{ 0x00000001, 0, { 0x00000000001ull, 0x00000000000ull, 0x000000ull } },
	} },
	{ { 0x0000000ff00ull, 0x00000000000ull, 0x00000000ull }, {
		{ 0x000000ff, 0, { 0x000000000ffull, 0x00000000000ull, 0x000000ull } },
		{ 0x01010101, -8, { 0x00000000100ull, 0x00000000000ull, 0x000000ull } },
	} },
	{ { 0x00000fc0300ull, 0x00000000000ull, 0x00000000ull }, {
		{ 0x000000ab, 0, { 0x0000000fc03ull, 0x00000000000ull, 0x000000ull } },
		{ 0x7f7f7f7f, 4, { 0x0000000fd00ull, 0x00000000000ull, 0x000000ull } },
		{ 0x326576d3, 106, { 0x0000000ff00ull, 0x00000000000ull, 0x000000ull } },
	} },
	{ { 0x000f716f100ull, 0x00000000000ull, 0x00000000ull }, {
		{ 0x00000011, 0, { 0x00000f716f1ull, 0x00000000000ull, 0x000000ull } },
		{ 0x20202020, -1, { 0x00000f80f00ull, 0x00000000000ull, 0x000000ull } },
		{ 0xe74cc598, -53, { 0x00000fa0500ull, 0x00000000000ull, 0x000000ull } },
		{ 0xfccd2808, 32, { 0x00000fc0300ull, 0x00000000000ull, 0x000000ull } },
	} },
	{ { 0x0ee67228700ull, 0x00000000000ull, 0x00000000ull }, {
		{ 0x00000037, 0, { 0x000ee672287ull, 0x00000000000ull, 0x000000ull } },
		{ 0xfcfcfcfc, 32, { 0x000ef567900ull, 0x00000000000ull, 0x000000ull } },
		{ 0xda9f34bd, 51, { 0x000f13ad300ull, 0x00000000000ull, 0x000000ull } },
		{ 0x01cef6fe, -8, { 0x000f326e500ull, 0x00000000000ull, 0x000000ull } },
		{ 0xaff7ffc9, -93, { 0x000f716f100ull, 0x00000000000ull, 0x000000ull } },
	} },
	{ { 0x06f17811700ull, 0x0000000000eull, 0x00000000ull }, {
		{ 0x000000a7, 0, { 0x0e06f178117ull, 0x00000000000ull, 0x000000ull } },
		{ 0x93939393, 107, { 0x0e15067e900ull, 0x00000000000ull, 0x000000ull } },
		{ 0xd9f3506f, 59, { 0x0e31860a300ull, 0x00000000000ull, 0x000000ull } },
		{ 0x190501ce, 51, { 0x0e4e79d9500ull, 0x00000000000ull, 0x000000ull } },
		{ 0x9286d7e0, -108, { 0x0e89c98e100ull, 0x00000000000ull, 0x000000ull } },
		{ 0xcc6dc7cc, -66, { 0x0ee67228700ull, 0x00000000000ull, 0x000000ull } },
	} },
	{ { 0x7b6f1847900ull, 0x00000000d18ull, 0x00000000ull }, {
		{ 0x000000c9, 0, { 0x187b6f18479ull, 0x0000000000dull, 0x000000ull } },
		{ 0xd7d7d7d7, 73, { 0x25a11028700ull, 0x0000000000dull, 0x000000ull } },
		{ 0x3913b2e6, 50, { 0x403c2382d00ull, 0x0000000000dull, 0x000000ull } },
		{ 0xe997eb2e, -67, { 0x5b43c1e1b00ull, 0x0000000000dull, 0x000000ull } },
		{ 0xd04d2404, -110, { 0x92a32ba0f00ull, 0x0000000000dull, 0x000000ull } },
		{ 0x1a42a41a, 33, { 0xe92493c0900ull, 0x0000000000dull, 0x000000ull } },
		{ 0x5ca36bc0, -19, { 0x06f17811700ull, 0x0000000000eull, 0x000000ull } },
	} },
	{ { 0x581d1922100ull, 0x000000beb48ull, 0x00000000ull }, {
		{ 0x000000e1, 0, { 0x48581d19221ull, 0x00000000bebull, 0x000000ull } },
		{ 0x53535353, 101, { 0x3f97b4cdf00ull, 0x00000000bf7ull, 0x000000ull } },
		{ 0x6f25b8e8, 124, { 0x76bc520f500ull, 0x00000000c0full, 0x000000ull } },
		{ 0x47dc2b6d, -66, { 0x10ab7669300ull, 0x00000000c28ull, 0x000000ull } },
		{ 0x4a764423, -98, { 0x7682b57a700ull, 0x00000000c5aull, 0x000000ull } },
		{ 0x39349339, 26, { 0x324a7a43100ull, 0x00000000ca9ull, 0x000000ull } },
		{ 0xa19816bb, 43, { 0x51c647def00ull, 0x00000000cc4ull, 0x000000ull } },
		{ 0xfd0a91a0, 24, { 0x7b6f1847900ull, 0x00000000d18ull, 0x000000ull } },
	} },
	{ { 0xd2077b78500ull, 0x0000aa977b6ull, 0x00000000ull }, {
		{ 0x0000004d, 0, { 0xb6d2077b785ull, 0x000000aa977ull, 0x000000ull } },
		{ 0xf3f3f3f3, 104, { 0xe2b4bc37b00ull, 0x000000ab42bull, 0x000000ull } },
		{ 0x1b090301, 37, { 0x367567b2900ull, 0x000000ac9d5ull, 0x000000ull } },
		{ 0x1fd4c5c2, 3, { 0xe960ec17f00ull, 0x000000adfd6ull, 0x000000ull } },
		{ 0xc5de6a9e, -22, { 0x02ec5686300ull, 0x000000b0cecull, 0x000000ull } },
		{ 0xbf4cf5bf, 38, { 0xfc9f5dfd500ull, 0x000000b5359ull, 0x000000ull } },
		{ 0x926aceef, -76, { 0x265e4a6cb00ull, 0x000000b6b9dull, 0x000000ull } },
		{ 0x3b725618, -6, { 0x6a60b803d00ull, 0x000000bb6e6ull, 0x000000ull } },
		{ 0xc03935f1, 54, { 0x581d1922100ull, 0x000000beb48ull, 0x000000ull } },
	} },
	{ { 0x3ca27baef00ull, 0x0097445271cull, 0x00000000ull }, {
		{ 0x0000000f, 0, { 0x1c3ca27baefull, 0x00009744527ull, 0x000000ull } },
		{ 0x2e2e2e2e, -113, { 0x0642e561100ull, 0x000097dc2eaull, 0x000000ull } },
		{ 0x6acf446b, -89, { 0x4a1af355b00ull, 0x0000990f80full, 0x000000ull } },
		{ 0x33d8f89a, 94, { 0xf0f15939d00ull, 0x00009a47b90ull, 0x000000ull } },
		{ 0x28e9e24f, -73, { 0x9790b8fc900ull, 0x00009cc7546ull, 0x000000ull } },
		{ 0xd11d12d1, -106, { 0x0150579df00ull, 0x0000a0ae8cbull, 0x000000ull } },
		{ 0x311f2c65, 86, { 0x059bfe60100ull, 0x0000a206c59ull, 0x000000ull } },
		{ 0x1deda4fc, 1, { 0x53c32b61700ull, 0x0000a632e50ull, 0x000000ull } },
		{ 0x20565895, -27, { 0x21cd4934300ull, 0x0000a91a126ull, 0x000000ull } },
		{ 0x025e69c5, -16, { 0xd2077b78500ull, 0x0000aa977b6ull, 0x000000ull } },
	} },
	{ { 0xd189bd63100ull, 0x83c483d1198ull, 0x00000000ull }, {
		{ 0x000000d1, 0, { 0x98d189bd631ull, 0x0083c483d11ull, 0x000000ull } },
		{ 0x8f8f8f8f, -116, { 0x7445cf8cf00ull, 0x008448cc9dbull, 0x000000ull } },
		{ 0xb994dcf4, 62, { 0x8d79f7a4500ull, 0x00855481551ull, 0x000000ull } },
		{ 0x2b6d48aa, -93, { 0xe23cb95c300ull, 0x0086647a341ull, 0x000000ull } },
		{ 0xac493f07, -69, { 0x07112401700ull, 0x008891a287eull, 0x000000ull } },
		{ 0x10f1ff10, 113, { 0x24fc5294100ull, 0x008bf80c8d6ull, 0x000000ull } },
		{ 0xee0d39af, -95, { 0xe2e295adf00ull, 0x008d23e618bull, 0x000000ull } },
		{ 0x43bcac2f, -70, { 0xf702c9e0900ull, 0x0090c6557f8ull, 0x000000ull } },
		{ 0x473ea538, -110, { 0x71d2c475d00ull, 0x00934db6037ull, 0x000000ull } },
		{ 0x715aadd6, 4, { 0xf4848dcdb00ull, 0x009499f4840ull, 0x000000ull } },
		{ 0xc8cff1d7, 2, { 0x3ca27baef00ull, 0x0097445271cull, 0x000000ull } },
	} },
	{ { 0x9dc188f8900ull, 0xb193bc3ea89ull, 0x0000006full }, {
		{ 0x000000b9, 0, { 0x899dc188f89ull, 0x6fb193bc3eaull, 0x000000ull } },
		{ 0xd4d4d4d4, 97, { 0x8f2cee77700ull, 0x7021b571b05ull, 0x000000ull } },
		{ 0x090301ac, -72, { 0xec62ea47d00ull, 0x7104a1a1220ull, 0x000000ull } },
		{ 0x904e74e5, -108, { 0xc5791f24b00ull, 0x71eb2b962d8ull, 0x000000ull } },
		{ 0xa0a34808, 27, { 0xfd878537f00ull, 0x73c372c52d3ull, 0x000000ull } },
		{ 0xaf5bf6af, -75, { 0x59e1ff81900ull, 0x76a542a3d85ull, 0x000000ull } },
		{ 0x42201e3a, -50, { 0x5210e070700ull, 0x77a36e0af93ull, 0x000000ull } },
		{ 0xb3cacb63, -83, { 0x615d1f5a100ull, 0x7ab81e79209ull, 0x000000ull } },
		{ 0xe72167af, -29, { 0x7ba887dd500ull, 0x7cdcdf48effull, 0x000000ull } },
		{ 0xdef71f5f, 45, { 0x445c335a300ull, 0x7df68043f0full, 0x000000ull } },
		{ 0xbfe3932c, 74, { 0x65bad749700ull, 0x8038e9e26efull, 0x000000ull } },
		{ 0xeffa64fd, -81, { 0xd189bd63100ull, 0x83c483d1198ull, 0x000000ull } },
	} },
	{ { 0x0683e4deb00ull, 0x5cc427a4f6dull, 0x00005c0full }, {
		{ 0x000000c3, 0, { 0x6d0683e4debull, 0x0f5cc427a4full, 0x00005cull } },
		{ 0x01010101, -8, { 0x02088c71500ull, 0x6bc88cb4595ull, 0x00005cull } },
		{ 0x36120602, 74, { 0xd5871930700ull, 0x26d137cf122ull, 0x00005dull } },
		{ 0x356fe496, 78, { 0xc2d4ab3d100ull, 0xe4d4ecc78aaull, 0x00005dull } },
		{ 0x55eefe92, 61, { 0xf6b2cd1ad00ull, 0x6a1798844b9ull, 0x00005full } },
		{ 0x4b05b04b, -118, { 0x154597c9b00ull, 0xca35ed0b4e9ull, 0x000061ull } },
		{ 0x5321100f, 53, { 0xa3e8fcac500ull, 0x9bb3b30b66cull, 0x000062ull } },
		{ 0x8f420d70, -28, { 0x3fc0d73b300ull, 0x25c11dd5dbbull, 0x000065ull } },
		{ 0x41d80792, -62, { 0xebe7fb68f00ull, 0xea0c091dc92ull, 0x000066ull } },
		{ 0xadd64541, -17, { 0x57fe5355900ull, 0xd22bb7ff995ull, 0x000067ull } },
		{ 0x181566b2, 31, { 0xd8ff7187500ull, 0xaee8c5a1750ull, 0x000069ull } },
		{ 0x2701a794, -95, { 0xb48718a6300ull, 0x9af8a5580f4ull, 0x00006cull } },
		{ 0xe04fef09, 45, { 0x9dc188f8900ull, 0xb193bc3ea89ull, 0x00006full } },
	} },
	{ { 0x1086e91ad00ull, 0x1c7ad13bdc0ull, 0x00478ff1ull }, {
		{ 0x00000025, 0, { 0xc01086e91adull, 0xf11c7ad13bdull, 0x00478full } },
		{ 0xd7d7d7d7, 73, { 0x94a52c15300ull, 0xc8e560316d4ull, 0x0047d7ull } },
		{ 0xff541cb5, 8, { 0xfc0494a7100ull, 0x2ca261f7213ull, 0x004869ull } },
		{ 0x6e16a01f, 124, { 0x73511c77700ull, 0xe1840f1ccbdull, 0x0048fcull } },
		{ 0x605db8f8, -27, { 0xc4fd6fd7b00ull, 0x78578ed6c8eull, 0x004a2bull } },
		{ 0xed3fd4ed, -89, { 0x8918fdc7d00ull, 0x2feb43ca12full, 0x004c04ull } },
		{ 0xec29a0a6, -79, { 0x6a1c69f2300ull, 0x08b02ddce73ull, 0x004ca7ull } },
		{ 0x415e4bef, -54, { 0x8ee74f02500ull, 0x591e313dc8eull, 0x004ea0ull } },
		{ 0x24b56350, -59, { 0x61546e92900ull, 0xef5b1627635ull, 0x004fffull } },
		{ 0xba90d516, 106, { 0x66b2c782f00ull, 0x5ffc07b0317ull, 0x0050b4ull } },
		{ 0xff1bc43b, 8, { 0xae91402f300ull, 0xf6f1a081fd8ull, 0x005226ull } },
		{ 0x220c1106, -55, { 0x5504292f500ull, 0x77488773e38ull, 0x00546cull } },
		{ 0x490b1334, 49, { 0xa1717937f00ull, 0x09d754b50f9ull, 0x0056d3ull } },
		{ 0xe718e1ee, 1, { 0x0683e4deb00ull, 0x5cc427a4f6dull, 0x005c0full } },
	} },
	{ { 0xb7d161a2100ull, 0xea8303104ccull, 0x3711c48aull }, {
		{ 0x000000e1, 0, { 0xccb7d161a21ull, 0x8aea8303104ull, 0x3711c4ull } },
		{ 0x8a8a8a8a, -76, { 0x631aec4df00ull, 0x98830609196ull, 0x37490dull } },
		{ 0x7a7d7e2a, 36, { 0xef86648f500ull, 0x58f5632c960ull, 0x37b8efull } },
		{ 0xa1edcac3, 7, { 0xbd6ae7e9300ull, 0x8a9fa128dc9ull, 0x382a99ull } },
		{ 0x575c78bb, 45, { 0x970710fa700ull, 0x9b60eb489ddull, 0x391373ull } },
		{ 0xf00f01f0, -113, { 0x803b4ac3100ull, 0xe00b2a80994ull, 0x3a7f38ull } },
		{ 0x2e49bee0, 110, { 0xa7dd875ef00ull, 0xaf934afded0ull, 0x3afc89ull } },
		{ 0xb7585ffa, -115, { 0xf7ffccc7900ull, 0x943be48b9b3ull, 0x3c8164ull } },
		{ 0xa9972f70, 9, { 0xe5f916c8d00ull, 0x31180c4f713ull, 0x3d8ff3ull } },
		{ 0x4e2209e1, 57, { 0x079387c2b00ull, 0xdcf1ea96102ull, 0x3e1acdull } },
		{ 0xc43be0e4, 34, { 0x55c6644ff00ull, 0x07f084081beull, 0x3f37fcull } },
		{ 0x14d40aea, 57, { 0x6c33b168900ull, 0xcad03c2e159ull, 0x40f777ull } },
		{ 0x28d24ac0, 102, { 0x3c52480bb00ull, 0x92b42f55019ull, 0x42d066ull } },
		{ 0xa9f4ac09, 99, { 0x037f1f5d700ull, 0x62f281f1ee6ull, 0x46d7d2ull } },
		{ 0xbc595f23, -47, { 0x1086e91ad00ull, 0x1c7ad13bdc0ull, 0x478ff1ull } },
	} },
};

/*
 * 1 / m in units of 2^-85, to nearest: upper * 2^33 + lower.
 */
static const struct residue_fraction {
	uint64_t upper, lower;
} residue_fraction[RESIDUE_MODULI] = {
	{ 0x100000000000ull, 0x000000000ull },
	{ 0x101010101010ull, 0x020202020ull },
	{ 0x103091b51f5eull, 0x0349dd98dull },
	{ 0x105197f7d734ull, 0x00828cbfcull },
	{ 0x10953f390109ull, 0x0a7e72021ull },
	{ 0x10fef010fef0ull, 0x021fde022ull },
	{ 0x112358e75d30ull, 0x066d4156cull },
	{ 0x119453808ca2ull, 0x13808ca2aull },
	{ 0x11e2ef3b3fb8ull, 0x0e8862602ull },
	{ 0x120b470c67c0ull, 0x1b10ea92aull },
	{ 0x125e22708092ull, 0x1e2270809ull },
	{ 0x12e025c04b80ull, 0x12e025c05ull },
	{ 0x13698df3de07ull, 0x08f2a76e7ull },
	{ 0x149539e3b2d0ull, 0x0cdd442e5ull },
	{ 0x14cab88725afull, 0x0dce9e89cull },
};

#endif /* QUIRE_RESIDUE_TABLE_H */
