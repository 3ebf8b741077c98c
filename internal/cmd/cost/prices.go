package main

// price is one line of a price list.
type price struct {
	what string
	unit string
	usd  float64
}

// prices are Microsoft's public list prices, pay as you go, East US, in US dollars, as
// they were quoted in 2025. Nobody looks them up when the tables are made: put yours
// here, and make generate.
type prices struct {
	baseline, alwaysReady, onDemand price // per GB-second
	executions                      price // per million
	table, queue                    price // per 10,000 operations
	blobWrite, blobOther            price
	vault                           price // per 10,000 operations
	logs                            price // per GB
	alert5, alert15                 price // per rule and month
	endpoint, nat                   price // per month
	premium                         price // EP1, per month
}

var list = prices{
	baseline:    price{"Functions Flex Consumption, always ready, waiting", "GB-s", 0.000004},
	alwaysReady: price{"… always ready, working", "GB-s", 0.000016},
	onDemand:    price{"… on demand, above 100,000 GB-s a month", "GB-s", 0.000026},
	executions:  price{"… executions; on demand above 250,000 a month", "million", 0.40},
	table:       price{"Table Storage, LRS", "10,000 operations", 0.00036},
	queue:       price{"Queue Storage, LRS", "10,000 operations", 0.004},
	blobWrite:   price{"Blob Storage, hot, LRS, writes", "10,000 operations", 0.055},
	blobOther:   price{"… reads and others", "10,000 operations", 0.0044},
	vault:       price{"Key Vault, standard", "10,000 operations", 0.03},
	logs:        price{"Log Analytics, pay as you go; the first 5 GB of a billing account are free and not deducted here", "GB", 2.30},
	alert5:      price{"Alert rule on logs, every 5 minutes", "month", 1.50},
	alert15:     price{"… every 15 minutes or less often", "month", 0.50},
	endpoint:    price{"Private endpoint", "month", 7.30},
	nat:         price{"NAT gateway", "month", 32.85},
	premium:     price{"Functions Elastic Premium EP1, one instance", "month", 157.70},
}

func (p prices) all() []price {
	return []price{
		p.baseline, p.alwaysReady, p.onDemand, p.executions, p.table, p.queue, p.blobWrite, p.blobOther, p.vault, p.logs, p.alert5, p.alert15,
		p.endpoint, p.nat, p.premium,
	}
}
