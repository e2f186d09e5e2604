/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef QUIRE_KUNIT_H
#define QUIRE_KUNIT_H

#include <kunit/test.h>

#include "quire_device.h"

/* A card without hardware: registers are memory, DMA is that of a device that does nothing. */
struct quire_device *quire_kunit_card(struct kunit *test);

#endif /* QUIRE_KUNIT_H */
