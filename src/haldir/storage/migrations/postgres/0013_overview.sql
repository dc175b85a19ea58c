-- Payments that were posted: summed without a look at any other reservation.
CREATE INDEX reservation_posted ON reservation (tenant, currency, posted_micros)
    WHERE purpose = 'payment' AND state = 'posted';
