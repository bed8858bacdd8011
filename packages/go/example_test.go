package zkmini_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"zkmini"
)

func ExampleStart() {
	zk, err := zkmini.Start(context.Background(), zkmini.Fast())
	if err != nil {
		log.Fatal(err)
	}
	defer zk.Stop()
	if err := zk.Put("/config/colour", "green"); err != nil {
		log.Fatal(err)
	}
	colour, err := zk.Get("/config/colour")
	fmt.Println(colour, err)
	_, err = zk.Get("/config/size")
	fmt.Println(errors.Is(err, zkmini.ErrNotFound), err)
	// Output:
	// green <nil>
	// true zkmini: GET /v1/tree?depth=0&path=%2Fconfig%2Fsize: /config/size does not exist
}

func ExampleServer_Fault() {
	zk, err := zkmini.Start(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer zk.Stop()
	lost, err := zk.Fault(zkmini.When{Op: "create", Path: "/orders/*", Times: 1}, zkmini.Then{Drop: zkmini.AfterApply})
	fmt.Println(lost.Text, err)
	slow, err := zk.Fault(zkmini.When{Op: "setData,delete", Nth: 2}, zkmini.Then{DelayReply: 500 * time.Millisecond})
	fmt.Println(slow.Text, err)
	// Output:
	// create of /orders/*, once: apply, then close the connection without the reply <nil>
	// setData or delete, the 2nd: apply, then delay the reply by 500ms <nil>
}

func ExampleServer_Advance() {
	zk, err := zkmini.Start(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	defer zk.Stop()
	before, _ := zk.Clock()
	if err := zk.Advance(time.Hour); err != nil {
		log.Fatal(err)
	}
	after, _ := zk.Clock()
	fmt.Println(after.Mode, after.Now.Sub(before.Now).Round(time.Minute))
	// Output:
	// manual 1h0m0s
}
