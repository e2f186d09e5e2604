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
 * Of integers to residues.  lower, upper: the least residues of 2^0, 2^8, 2^16, 2^24 and of
 * 2^32, 2^40, 2^48, 0.  start: the least residue of -(0x380000 * 2^32).
 */
static const struct residue_modulus {
	int32_t m;
	uint32_t lower, upper;
	int32_t start;
} residue_modulus[RESIDUE_MODULI] = {
	{ 256, 0x00000001, 0x00000000, 0 },
	{ 255, 0x01010101, 0x00010101, -56 },
	{ 253, 0x1b090301, 0x00e2f651, -91 },
	{ 251, 0x7d190501, 0x003f717b, -14 },
	{ 247, 0xf4510901, 0x00991094, 87 },
	{ 241, 0x01f00f01, 0x0001f00f, -56 },
	{ 239, 0x96321101, 0x0003d66e, 71 },
	{ 233, 0x333f1701, 0x0026cf08, -31 },
	{ 229, 0xf52a1b01, 0x0079fcbc, 94 },
	{ 227, 0x64bd1d01, 0x000c6ecd, 9 },
	{ 223, 0x22e62101, 0x00290807, -66 },
	{ 217, 0x4e022701, 0x0008c304, -14 },
};

/*
 * Of residues back to an integer, with the first 1, 2, ... 12 moduli.  P is their product,
 * its lower 44 bits and the rest.  For each of them, with C = P / m and I the inverse of C
 * modulo m: the least residues of I * 2^0, I * 2^8, I * 2^16, I * 2^24; start: that of
 * -(I * 2^27); the lower 44 bits of C and the rest, below 2^44.
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
		{ 0x86837fd6, -36, 0x0000000ff00ull, 0x00000000000ull },
	} },
	{ 0x000f716f100ull, 0x00000000000ull, {
		{ 0x00000011, 0, 0x00000f716f1ull, 0x00000000000ull },
		{ 0x20202020, -1, 0x00000f80f00ull, 0x00000000000ull },
		{ 0x3dc03f15, 18, 0x00000fa0500ull, 0x00000000000ull },
		{ 0xa520a2bb, -25, 0x00000fc0300ull, 0x00000000000ull },
	} },
	{ 0x0ee67228700ull, 0x00000000000ull, {
		{ 0x00000037, 0, 0x000ee672287ull, 0x00000000000ull },
		{ 0xfcfcfcfc, 32, 0x000ef567900ull, 0x00000000000ull },
		{ 0x205f747b, -3, 0x000f13ad300ull, 0x00000000000ull },
		{ 0xd8f89a50, 69, 0x000f326e500ull, 0x00000000000ull },
		{ 0x0caff7ff, -96, 0x000f716f100ull, 0x00000000000ull },
	} },
	{ 0x06f17811700ull, 0x0000000000eull, {
		{ 0x000000a7, 0, 0x0e06f178117ull, 0x00000000000ull },
		{ 0x93939393, 107, 0x0e15067e900ull, 0x00000000000ull },
		{ 0xa9e3a235, -63, 0x0e31860a300ull, 0x00000000000ull },
		{ 0x0433d8f8, -32, 0x0e4e79d9500ull, 0x00000000000ull },
		{ 0xfe927dd7, 16, 0x0e89c98e100ull, 0x00000000000ull },
		{ 0xc7cc6dc7, -26, 0x0ee67228700ull, 0x00000000000ull },
	} },
	{ 0x7b6f1847900ull, 0x00000000d18ull, {
		{ 0x000000c9, 0, 0x187b6f18479ull, 0x0000000000dull },
		{ 0xd7d7d7d7, 73, 0x25a11028700ull, 0x0000000000dull },
		{ 0xd0f04fc6, -122, 0x403c2382d00ull, 0x0000000000dull },
		{ 0xacbd57ad, -81, 0x5b43c1e1b00ull, 0x0000000000dull },
		{ 0x3ed04d24, -2, 0x92a32ba0f00ull, 0x0000000000dull },
		{ 0xa41a42a4, 13, 0xe92493c0900ull, 0x0000000000dull },
		{ 0xd49bec29, 113, 0x06f17811700ull, 0x0000000000eull },
	} },
	{ 0x581d1922100ull, 0x000000beb48ull, {
		{ 0x000000e1, 0, 0x48581d19221ull, 0x00000000bebull },
		{ 0x53535353, 101, 0x3f97b4cdf00ull, 0x00000000bf7ull },
		{ 0x356622b7, 82, 0x76bc520f500ull, 0x00000000c0full },
		{ 0xb1be25a3, -121, 0x10ab7669300ull, 0x00000000c28ull },
		{ 0xb54a7644, 106, 0x7682b57a700ull, 0x00000000c5aull },
		{ 0x93393493, -92, 0x324a7a43100ull, 0x00000000ca9ull },
		{ 0x57e95321, 21, 0x51c647def00ull, 0x00000000cc4ull },
		{ 0x28165273, -87, 0x7b6f1847900ull, 0x00000000d18ull },
	} },
	{ 0xd2077b78500ull, 0x0000aa977b6ull, {
		{ 0x0000004d, 0, 0xb6d2077b785ull, 0x000000aa977ull },
		{ 0xf3f3f3f3, 104, 0xe2b4bc37b00ull, 0x000000ab42bull },
		{ 0xb43b6877, 102, 0x367567b2900ull, 0x000000ac9d5ull },
		{ 0x0f0365e2, -120, 0xe960ec17f00ull, 0x000000adfd6ull },
		{ 0xdbc5de6a, 49, 0x02ec5686300ull, 0x000000b0cecull },
		{ 0xf5bf4cf5, 88, 0xfc9f5dfd500ull, 0x000000b5359ull },
		{ 0x3f4ab0b5, -26, 0x265e4a6cb00ull, 0x000000b6b9dull },
		{ 0xf66f60a9, 80, 0x6a60b803d00ull, 0x000000bb6e6ull },
		{ 0x3d79fcbc, -30, 0x581d1922100ull, 0x000000beb48ull },
	} },
	{ 0x3ca27baef00ull, 0x0097445271cull, {
		{ 0x0000000f, 0, 0x1c3ca27baefull, 0x00009744527ull },
		{ 0x2e2e2e2e, -113, 0x0642e561100ull, 0x000097dc2eaull },
		{ 0xdcf4fc53, 35, 0x4a1af355b00ull, 0x0000990f80full },
		{ 0xe05e4540, 5, 0xf0f15939d00ull, 0x00009a47b90ull },
		{ 0x7128e9e2, 84, 0x9790b8fc900ull, 0x00009cc7546ull },
		{ 0x12d11d12, 97, 0x0150579df00ull, 0x0000a0ae8cbull },
		{ 0xbfd2b742, 42, 0x059bfe60100ull, 0x0000a206c59ull },
		{ 0xb462f09a, -91, 0x53c32b61700ull, 0x0000a632e50ull },
		{ 0x54360222, 15, 0x21cd4934300ull, 0x0000a91a126ull },
		{ 0xd00ee936, -70, 0xd2077b78500ull, 0x0000aa977b6ull },
	} },
	{ 0xd189bd63100ull, 0x83c483d1198ull, {
		{ 0x000000d1, 0, 0x98d189bd631ull, 0x0083c483d11ull },
		{ 0x8f8f8f8f, -116, 0x7445cf8cf00ull, 0x008448cc9dbull },
		{ 0x9c33115a, 41, 0x8d79f7a4500ull, 0x00855481551ull },
		{ 0x25a389b6, -45, 0xe23cb95c300ull, 0x0086647a341ull },
		{ 0xf1ac493f, 120, 0x07112401700ull, 0x008891a287eull },
		{ 0xff10f1ff, 8, 0x24fc5294100ull, 0x008bf80c8d6ull },
		{ 0x13e59cde, 87, 0xe2e295adf00ull, 0x008d23e618bull },
		{ 0xd999d3ad, 79, 0xf702c9e0900ull, 0x0090c6557f8ull },
		{ 0xf2f74cae, 112, 0x71d2c475d00ull, 0x00934db6037ull },
		{ 0x0c6ecd64, -96, 0xf4848dcdb00ull, 0x009499f4840ull },
		{ 0xdfff1bc4, 41, 0x3ca27baef00ull, 0x0097445271cull },
	} },
	{ 0x9dc188f8900ull, 0x6fb193bc3ea89ull, {
		{ 0x000000b9, 0, 0x899dc188f89ull, 0x6fb193bc3eaull },
		{ 0xd4d4d4d4, 97, 0x8f2cee77700ull, 0x7021b571b05ull },
		{ 0x3b68777c, 34, 0xec62ea47d00ull, 0x7104a1a1220ull },
		{ 0xda94864c, 53, 0xc5791f24b00ull, 0x71eb2b962d8ull },
		{ 0x7ca0a348, -4, 0xfd878537f00ull, 0x73c372c52d3ull },
		{ 0xf6af5bf6, 80, 0x59e1ff81900ull, 0x76a542a3d85ull },
		{ 0x0a63302d, -80, 0x5210e070700ull, 0x77a36e0af93ull },
		{ 0x1115ba4e, 97, 0x615d1f5a100ull, 0x7ab81e79209ull },
		{ 0xdb3a462d, 67, 0x7ba887dd500ull, 0x7cdcdf48effull },
		{ 0xa4f5c1f6, 55, 0x445c335a300ull, 0x7df68043f0full },
		{ 0x75db6b0a, -44, 0x65bad749700ull, 0x8038e9e26efull },
		{ 0x7951d0bc, 117, 0xd189bd63100ull, 0x83c483d1198ull },
	} },
};

#endif /* QUIRE_RESIDUE_TABLE_H */
